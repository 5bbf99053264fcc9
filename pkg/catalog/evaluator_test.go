package catalog_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// A document names a host: where the entry has to be signed, nobody is asked about the
// image before it is.
func TestUnverifiedEntryGetsNobodyAsked(t *testing.T) {
	t.Parallel()
	w, sign := newWorld(t, true, nil), team(t)
	var asked atomic.Int64
	host := newWorld(t, true, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			next.ServeHTTP(rw, r)
		})
	})
	keys := []*trust.PublicKey{sign.Signer.PublicKey()}
	policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: keys, Require: []trust.Subject{trust.SubjectEntry, trust.SubjectImage}})
	if err != nil {
		t.Fatal(err)
	}
	for name, signing := range map[string]*catalog.Signing{"stranger": team(t), "nobody": nil, "team": sign} {
		w.publish(w.open(catalog.Options{}), host.push("os/"+name, "1", name), catalog.PublishOptions{Name: name, Sign: signing})
	}
	for name, want := range map[string]entry.Verdict{"stranger": entry.VerdictUntrusted, "nobody": entry.VerdictUnsigned, "team": entry.VerdictUnsigned} {
		asked.Store(0)
		_, err := w.open(catalog.Options{Policy: policy, CacheDir: t.TempDir()}).Get(t.Context(), name, catalog.GetOptions{})
		refused, ok := err.(*trust.Error)
		if !ok || refused.Verdict != want || name == "team" != (asked.Load() > 0) {
			t.Errorf("%s: %v, and the host of its image was asked %d times; want %s", name, err, asked.Load(), want)
		}
	}
}
