package server_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/server"
)

// A token that is taken back, or lets see something else, is told no further event.
func TestReadTokenTakenBack(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a")
	var path string
	w.start(func(o *server.Options) {
		w.readTokens("all", "prod * prod-*", "gone * prod-*")(o)
		path = o.ReadTokenFile
	})
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "", readsAs("all")).status == 200 })
	all, prod, gone := w.listen("", readsAs("all")), w.listen("", readsAs("prod")), w.listen("", readsAs("gone"))
	var other server.Options
	w.readTokens("all", "prod * prod-b*")(&other)
	if err := os.Rename(other.ReadTokenFile, path); err != nil {
		t.Fatal(err)
	}
	w.publish("prod-b")
	if got := all.next(t); !strings.Contains(got, `"name":"prod-b"`) {
		t.Errorf("whose line stays is told %q", got)
	}
	for whose, l := range map[string]*listener{"prod": prod, "gone": gone} {
		if rest, err := io.ReadAll(l.lines); err != nil || strings.Contains(string(rest), "prod-b") {
			t.Errorf("%s is told %q, %v: want the end of the stream", whose, rest, err)
		}
	}
}

// Ids do not tell whether anything happened that a token does not let see.
func TestEventIDsTellNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a")
	w.start(w.readTokens("all", "prod * prod-*"))
	w.until("ready", func() bool { return w.ask("GET", "/readyz", "", readsAs("all")).status == 200 })
	first, again := w.listen("", readsAs("prod")).id, w.listen("", readsAs("prod")).id
	if first == again {
		t.Errorf("one place has one id, %s: another id would tell of events of others", first)
	}
	if got := w.listen(first, readsAs("prod")).id; got == first || got == "" {
		t.Errorf("who comes back to %s is at %q", first, got)
	}
}

// States of a scope are remembered by what it lets see, however often others move.
func TestEarlierStatesOfAScope(t *testing.T) {
	states := [][2]string{{"first", "whole"}}
	for n := range server.MaxEarlier {
		states = append(states, [2]string{"second", fmt.Sprint("whole-", n)})
	}
	known := server.EarlierOf(states)
	if len(known) != 2 || known["first"] != "whole" || known["second"] != fmt.Sprint("whole-", server.MaxEarlier-1) {
		t.Errorf("known is %v", known)
	}
	for n := range server.MaxEarlier {
		states = append(states, [2]string{fmt.Sprint("next-", n), "whole"})
	}
	if known := server.EarlierOf(states); len(known) != server.MaxEarlier || known["second"] != "" || known["next-0"] == "" {
		t.Errorf("%d are known, with second %q and next-0 %q", len(known), known["second"], known["next-0"])
	}
}

// The audit names the token by which somebody had an entry verified.
func TestAuditNamesReaders(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a", "prod-b")
	w.start(w.readTokens("all", "prod * prod-*"))
	w.until("ready", func() bool {
		return strings.Contains(string(w.ask("GET", "/readyz", "", readsAs("all")).body), `"entries":2`)
	})
	for who, name := range map[string]string{"prod": "prod-a", "all": "prod-b"} {
		path := images + "/" + name + "/verify"
		if who == "all" {
			path += "?wait=true"
		}
		if a := w.ask("POST", path, "", readsAs(who)); a.status != 200 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		w.until("the line about "+who, func() bool {
			return strings.Contains(w.log.String(), " action=verify by="+who+" name="+name+" ")
		})
	}
}

// Whatever is asked about a name that a token does not let see, of one or another
// catalog, is answered as about one that does not exist, in its status, headers and body.
func TestOutsideIsAsMissing(t *testing.T) {
	w := newWorld(t)
	w.publish("prod-a", "dev-a")
	other := w.open("team/other")
	if _, err := other.Publish(t.Context(), w.push("os/dev-a", "2"), catalog.PublishOptions{Name: "dev-a", Version: "2", NoAttach: true}); err != nil {
		t.Fatal(err)
	}
	w.start(func(o *server.Options) {
		o.Catalogs = append(o.Catalogs, other)
		w.readTokens("all", "prod * prod-*")(o)
	})
	w.until("ready", func() bool {
		return strings.Contains(string(w.ask("GET", "/readyz", "", readsAs("all")).body), `"entries":3`)
	})
	known := "If-None-Match: " + w.ask("GET", images+"/dev-a", "", readsAs("all")).header.Get("ETag")
	inOther := "?catalog=" + other.Reference()
	said := func(a answer, name string) string {
		for _, own := range []string{"Date", "X-Request-Id", "Etag"} { // that of a page is of its text
			a.header.Del(own)
		}
		return strings.ReplaceAll(fmt.Sprint(a.status, a.header, string(a.body)), name, "NAME")
	}
	for _, asked := range []string{
		"GET /%s", "HEAD /%s", "GET /%s?version=1", "GET /%s?as-of=0s", "GET /%s?no=1", "GET /%s/history", "PUT /%s", "PATCH /%s", "DELETE /%s",
		"POST /%s/verify", "POST /%s/verify?wait=true", "POST /%s/verify" + inOther, "GET ?name=%s&facets=true", "GET ?search=%s&versions=true", "GET ?name=%s&as-of=0s",
		"GET ?label=team=%s&facets=true", "GET ?image=" + w.host + "/os/%s:1", "PAGE /entry/%s", "PAGE /entry/%s?version=2", "PAGE /entry/%s" + inOther, "PAGE /?search=%s", "PAGE /?name=%s&as-of=0s",
	} {
		at := func(name string) string {
			method, path, _ := strings.Cut(fmt.Sprintf(asked, name), " ")
			if method == "PAGE" {
				return said(w.browse(path, readsAs("prod"), known), name)
			}
			return said(w.ask(method, images+path, "", readsAs("prod"), known), name)
		}
		if outside, missing := at("dev-a"), at("dev-x"); outside != missing {
			t.Errorf("%s: outside it is\n%s\nand of what does not exist\n%s", asked, outside, missing)
		}
	}
}
