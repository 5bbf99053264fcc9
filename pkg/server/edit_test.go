package server_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/api"
	"github.com/oci-catalog/caib/pkg/entry"
)

const autosd = "/v1/catalog/images/autosd"

// A patch edits what it names, and leaves the rest; the audit says who did.
func TestEditsForThoseWhoMay(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	if a := w.ask("POST", "/v1/catalog/images", addition(w.push("os/autosd", "1")), bearer); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before := decode[entry.Item](t, w.ask("GET", autosd, ""))
	if a := w.ask("PATCH", autosd, `{"version":"2"}`); a.status != 401 {
		t.Errorf("without a token: %d %s", a.status, a.body)
	}
	for _, tt := range []struct {
		patch  string
		change func(item *entry.Item)
	}{
		{`{"version":"2","labels":{"team":"os","none":null},"tags":["qa","nightly"]}`, func(i *entry.Item) {
			i.Version, i.Labels, i.Tags = "2", map[string]string{"team": "os"}, []string{"qa", "nightly"}
		}},
		{`{"version":null,"labels":null,"distroVersion":"11","bootc":false}`, func(i *entry.Item) {
			i.Version, i.Labels, i.DistroVersion, i.Bootc = "", nil, "11", false
		}},
		{`{"targets":[{"name":"rpi4","verified":true,"notes":"n"}],"bootc":true,"architecture":"aarch64"}`, func(i *entry.Item) {
			i.Targets, i.Bootc, i.Architecture = []entry.Target{{Name: "rpi4", Verified: true, Notes: "n"}}, true, "arm64"
		}},
		{`{"tags":null,"targets":null}`, func(i *entry.Item) { i.Tags, i.Targets = nil, nil }},
	} {
		a := w.ask("PATCH", autosd, tt.patch, bearer, "If-Match: \""+before.Revision.String()+"\"", "Content-Type: application/merge-patch+json")
		if a.status != 200 || decode[api.Publication](t, a).Outcome != "published" {
			t.Fatalf("%s: %d %s", tt.patch, a.status, a.body)
		}
		after := decode[entry.Item](t, w.ask("GET", autosd, ""))
		tt.change(&before)
		before.Revision, before.PublishedAt, before.CreatedAt, before.LastVerified = after.Revision, after.PublishedAt, after.CreatedAt, after.LastVerified
		before.Conditions = after.Conditions // they have the time of the revision
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", tt.patch, diff)
		}
	}
	if a := w.ask("PATCH", autosd, `{}`, bearer); a.status != 200 || decode[api.Publication](t, a).Outcome != "unchanged" {
		t.Errorf("an empty patch: %d %s", a.status, a.body)
	}
	if a := w.ask("PATCH", autosd+"?dry-run=true", `{"version":"9"}`, bearer); a.status != 200 || decode[api.Publication](t, a).Version != "9" {
		t.Errorf("a dry run: %d %s", a.status, a.body)
	}
	if item := decode[entry.Item](t, w.ask("GET", autosd, "")); item.Revision != before.Revision {
		t.Errorf("revision %s, want %s: a dry run or an empty patch wrote", item.Revision, before.Revision)
	}
	if audit := w.log.String(); !strings.Contains(audit, "action=edit by=ci name=autosd") {
		t.Errorf("the audit does not say who edited: %s", audit)
	}
}

func TestEditRefuses(t *testing.T) {
	w := newWorld(t)
	w.startReady(w.allowPublish)
	if a := w.ask("POST", "/v1/catalog/images", addition(w.push("os/autosd", "1")), bearer); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	revision := decode[entry.Item](t, w.ask("GET", autosd, "")).Revision
	const other = "If-Match: sha256:0000000000000000000000000000000000000000000000000000000000000000"
	before := w.writes.Load()
	for _, tt := range []struct {
		path, patch, header string
		status              int
		says                string
	}{
		{autosd, `{"digest":"x"}`, "", 400, `\"digest\" cannot be changed`},
		{autosd, `{"name":null}`, "", 400, `\"name\" cannot be changed`},
		{autosd, `{"phase":"Failed"}`, "", 400, `\"phase\" cannot be changed`},
		{autosd, `{"registryUrl":"r/x:1"}`, "", 400, `\"registryUrl\" cannot be changed`},
		{autosd, `{"nothing":1}`, "", 400, `\"nothing\" cannot be changed`},
		{autosd, `{"version":1}`, "", 400, `the value of \"version\" is of the wrong kind`},
		{autosd, `{"tags":"qa"}`, "", 400, `the value of \"tags\"`},
		{autosd, `{"tags":[1]}`, "", 400, `the value of \"tags\"`},
		{autosd, `{"labels":{"a":1}}`, "", 400, `the value of \"labels/a\"`},
		{autosd, `{"targets":[{"name":"a","lab":"x"}]}`, "", 400, `no member \"targets/0/lab\"`},
		{autosd, `{"targets":[{"verified":true}]}`, "", 400, `targets/0 has no name`},
		{autosd, `{"tags":["a b"]}`, "", 400, `/tags/0`},
		{autosd, `{"tags":["a"` + strings.Repeat(`,"a"`, 256) + `]}`, "", 400, `\"tags\" has more than 256 elements`},
		{autosd, `{"targets":[{"name":"a"}` + strings.Repeat(`,{"name":"a"}`, 256) + `]}`, "", 400, `\"targets\" has more than 256 elements`},
		{autosd, `null`, "", 400, `no JSON object`},
		{autosd, `[]`, "", 400, `body`},
		{autosd, `{"tags":[],"tags":[]}`, "", 400, `body`},
		{autosd, `{"description":"` + strings.Repeat("x", 300<<10) + `"}`, "", 413, `longer than`},
		{autosd + "?dryrun=true", `{}`, "", 400, `dryrun`},
		{autosd + "?dry-run=perhaps", `{}`, "", 400, `dry-run`},
		{autosd, `{}`, "Content-Type: text/plain", 415, `application/merge-patch+json`},
		{autosd, `{}`, `If-Match: "x"`, 400, `If-Match`},
		{autosd, `{"version":"2"}`, other, 412, `"revision":"` + revision.String()},
		{"/v1/catalog/images/none", `{"version":"2"}`, "", 404, `not_found`},
	} {
		headers := []string{bearer}
		if tt.header != "" {
			headers = append(headers, tt.header)
		}
		if a := w.ask("PATCH", tt.path, tt.patch, headers...); a.status != tt.status || !strings.Contains(string(a.body), tt.says) {
			t.Errorf("%s %.40s %s: %d %.200s, want %d and %s", tt.path, tt.patch, tt.header, a.status, a.body, tt.status, tt.says)
		}
	}
	if after := w.writes.Load(); after != before {
		t.Errorf("%d requests wrote to the registry", after-before)
	}
	if a := w.ask("PUT", autosd, ""); !slices.Contains(strings.Split(a.header.Get("Allow"), ", "), "PATCH") {
		t.Errorf("Allow %q, want PATCH in it", a.header.Get("Allow"))
	}
}
