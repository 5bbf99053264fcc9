package server_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/oci-catalog/caib/pkg/server"
)

// Publishers whose clocks are years off are listed where their clocks put them,
// and change nothing for others.
func TestClocksOfPublishers(t *testing.T) {
	w := newWorld(t)
	w.publish("now")
	for name, at := range map[string]time.Time{"early": time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC), "late": time.Now().Add(20 * time.Hour)} {
		w.append(&revision.Document{
			Name: name, Source: entry.Source{Type: entry.SourceManual}, PublishedAt: entry.NewTime(at),
			Image: revision.Image{Reference: w.push("os/"+name, "1"), Digest: digest.FromString(name), MediaType: ocispec.MediaTypeImageManifest, Size: 500},
		})
	}
	probed := make(chan string, 100)
	w.probing(func(_ context.Context, item *entry.Item) error { probed <- item.Name; return nil })
	w.startReady(nil)
	if got := names(w.list("?latest=false")); got != "[late now early]" {
		t.Errorf("listed as %s", got)
	}
	for _, name := range []string{"early", "late"} {
		if a := w.ask("POST", "/v1/catalog/images/"+name+"/verify", ""); a.status != 200 || testwait.Receive(t, "a probe", probed) != name {
			t.Errorf("verify %s: %d", name, a.status)
		}
		w.until("verified", func() bool {
			item := decode[entry.Item](t, w.ask("GET", "/v1/catalog/images/"+name, ""))
			return time.Since(item.LastVerified.Time).Abs() < time.Hour
		})
	}
	w.publish("then")
	w.until("followed", func() bool { return names(w.list("?latest=false")) == "[late then now early]" })
}

// What tenants present as tokens is in no log, and each audit line names the
// tenant of its own request.
func TestTokensAreInNoLog(t *testing.T) {
	w := newWorld(t)
	tenants := map[string]string{"alpha": "alpha-token-0123456789abcdef", "beta": "beta-token-fedcba9876543210"}
	path := filepath.Join(t.TempDir(), "tokens")
	var lines strings.Builder
	for name, token := range tenants {
		fmt.Fprintf(&lines, "%s:%s\n", name, sum(token))
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.startReady(func(o *server.Options) { o.TokenFile = path })
	var mu sync.Mutex
	tenantOf := map[string]string{} // tenant by request
	var asking sync.WaitGroup
	for name, token := range tenants {
		for n := range 4 {
			asking.Go(func() {
				image := w.push(fmt.Sprintf("os/%s-%d", name, n), "1")
				for _, headers := range [][]string{
					{"Authorization: Bearer " + token}, {"Authorization: Basic " + token}, {"Authorization: bearer  " + token + "x"}, {"Proxy-Authorization: Bearer " + token}, {"Cookie: token=" + token},
				} {
					a := w.ask("POST", "/v1/catalog/images", fmt.Sprintf(`{"name":"%s-%d","registryUrl":%q}`, name, n, image), headers...)
					mu.Lock()
					if tenantOf[a.header.Get("X-Request-Id")] = "unknown"; a.status == http.StatusCreated {
						tenantOf[a.header.Get("X-Request-Id")] = name
					}
					mu.Unlock()
				}
				w.ask("GET", "/v1/catalog/images?token="+token, "")
				w.ask("GET", "/v1/catalog/images/"+token, "", "Authorization: Bearer "+token)
				w.ask("DELETE", "/v1/catalog/images/none?reason="+token, "")
			})
		}
	}
	testwait.Return(t, "all tenants to be answered", asking.Wait)
	text := w.log.String()
	for _, token := range tenants {
		if at := strings.Index(text, token); at >= 0 {
			t.Errorf("a token is in the log: %.200s", text[max(0, at-100):])
		}
	}
	for id, name := range tenantOf {
		if !strings.Contains(text, "msg=audit id="+id+" ") {
			t.Errorf("there is no audit line of request %s", id)
		} else if line := text[strings.Index(text, "msg=audit id="+id+" "):]; !strings.Contains(line[:strings.IndexByte(line, '\n')], " by="+name+" ") {
			t.Errorf("request %s was by %s: %.200s", id, name, line)
		}
	}
	if created := strings.Count(text, "action=add by=alpha") + strings.Count(text, "action=add by=beta"); created != 8 {
		t.Errorf("%d entries were added, want 8", created)
	}
}
