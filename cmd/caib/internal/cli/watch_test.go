package cli

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/internal/testwait"
	"github.com/oci-catalog/caib/pkg/catalog"
)

// refusing starts a registry that refuses everything while away is set, and counts
// what it has refused.
func refusing(t *testing.T, away *atomic.Bool) (host string, refused *atomic.Int64) {
	t.Helper()
	refused = &atomic.Int64{}
	inner := ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), refused
}

// A watch outlives a registry that refuses for a while, says so once, and tells what
// happened meanwhile. It ends when it is interrupted.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	host, refused := refusing(t, &away)
	env := homeEnv(t)
	env["CAIB_CATALOG"] = host + "/team/catalog"
	writer, err := catalog.Open(env["CAIB_CATALOG"], catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(name string) {
		t.Helper()
		image := host + "/os/" + name + ":1"
		if _, err := pushSample("bootc", image, samples.Build{Architectures: []string{"arm64"}, Version: name}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Publish(t.Context(), image, catalog.PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	publish("first")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs printed
	state := filepath.Join(t.TempDir(), "state.json")
	ended := make(chan int, 1)
	go func() {
		ended <- Main(ctx, []string{"catalog", "watch", "--interval", "1s", "--state", state}, Streams{
			In: strings.NewReader(""), Out: &out, Err: &errs, Now: time.Now,
			Getenv: func(name string) string { return env[name] },
		})
	}()
	testwait.Until(t, "the watch to begin", func() bool { f, err := openWatchFile(state); return err == nil && len(f.Catalogs) == 1 })
	publish("second")
	testwait.Until(t, "the second publication", func() bool { return strings.Contains(out.String(), `"name":"second"`) })
	away.Store(true)
	testwait.Until(t, "the warning", func() bool { return strings.Contains(errs.String(), "looking again every 1s") })
	before := refused.Load()
	testwait.Until(t, "another look", func() bool { return refused.Load() > before })
	away.Store(false)
	publish("third")
	testwait.Until(t, "the third publication", func() bool { return strings.Contains(out.String(), `"name":"third"`) })
	testwait.Until(t, "the note", func() bool { return strings.Contains(errs.String(), "the catalog can be read again") })
	cancel()
	if code := testwait.Receive(t, "the watch to end", ended); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if got := strings.Count(errs.text.String(), "looking again"); got != 1 {
		t.Errorf("%d warnings, want one:\n%s", got, errs.text.String())
	}
	if strings.Contains(out.String(), `"name":"first"`) {
		t.Errorf("what was there before was told:\n%s", out.text.String())
	}
}
