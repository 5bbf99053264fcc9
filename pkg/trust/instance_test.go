package trust

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/internal/testtuf"
	"github.com/oci-catalog/caib/pkg/entry"
)

// repository describes the lab as an instance of sigstore does itself.
func (l *lab) repository(expires time.Duration) *testtuf.Repository {
	l.t.Helper()
	return testtuf.New(l.t, map[string][]byte{
		"trusted_root.json": l.trustedRoot(), "signing_config.v0.2.json": l.signingConfig(1, true),
	}, l.now.Add(expires))
}

func open(t *testing.T, r *testtuf.Repository, cache string) (*Root, *services, error) {
	t.Helper()
	instance, err := openInstance(t.Context(), instanceOptions{Mirror: r.URL, Root: r.Root, Cache: cache})
	if err != nil {
		return nil, nil, err
	}
	root, err := instance.root()
	if err != nil {
		return nil, nil, err
	}
	services, err := instance.services(http.DefaultTransport, time.Now())
	return root, services, err
}

// What is known of an instance signs and verifies; it is asked once a day, and
// may be away then.
func TestInstance(t *testing.T) {
	l, cache, d := newLab(t), t.TempDir(), digest.FromString("revision")
	r := l.repository(24 * time.Hour)
	for _, round := range []string{"first", "from the cache", "with the repository away", "a day later"} {
		before := r.Requests()
		root, services, err := open(t, r, cache)
		if err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		if asked := r.Requests() - before; (round == "first") != (asked > 0) {
			t.Errorf("%s: %d requests", round, asked)
		}
		signer, err := newKeyless(keylessOptions{Services: services, Root: root, Token: theToken})
		if err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		signature, err := signDigest(t.Context(), signer, nil, Bundle, d, "")
		if err != nil {
			t.Fatalf("%s: %v", round, err)
		}
		if check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, signature); check.Result != entry.VerdictVerified {
			t.Errorf("%s: %+v", round, check)
		}
		switch round {
		case "from the cache":
			r.Close()
		case "with the repository away":
			asked, err := filepath.Glob(filepath.Join(cache, "*.json")) // when it was asked
			if err != nil || len(asked) != 1 {
				t.Fatal(asked, err)
			}
			if err := os.Remove(asked[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A repository that is not to be believed is as good as none.
func TestInstanceThatIsNotKnown(t *testing.T) {
	tampered := func(text []byte) []byte { text[len(text)/2] ^= 1; return text }
	for _, test := range []struct {
		name  string
		valid time.Duration
		spoil func(*testtuf.Repository)
		kind  error
		want  string
	}{
		{"away", time.Hour, func(r *testtuf.Repository) { r.Close() }, entry.ErrUnreachable, "connection refused"},
		{"expired", -time.Hour, func(*testtuf.Repository) {}, entry.ErrUnreachable, "expired"},
		{"HTML", time.Hour, func(r *testtuf.Repository) { r.Answer([]byte("<html>log in</html>")) }, entry.ErrUnreachable, "invalid character"},
		{"endless", time.Hour, func(r *testtuf.Repository) { r.Answer(make([]byte, 8<<20)) }, entry.ErrUnreachable, "more than"},
		{"tampered root of trust", time.Hour, func(r *testtuf.Repository) { r.Spoil(".trusted_root.json", tampered) }, entry.ErrUnreachable, "hash verification failed"},
		{"tampered list", time.Hour, func(r *testtuf.Repository) { r.Spoil("targets.json", tampered) }, entry.ErrUnreachable, ""},
		{"tampered timestamp", time.Hour, func(r *testtuf.Repository) { r.Spoil("timestamp.json", tampered) }, entry.ErrUnreachable, ""},
		{"another's", time.Hour, func(r *testtuf.Repository) { r.Root = testtuf.New(t, nil, time.Now().Add(time.Hour)).Root }, entry.ErrUnreachable, ""},
		{"no target", time.Hour, func(r *testtuf.Repository) { *r = *testtuf.New(t, nil, time.Now().Add(time.Hour)) }, entry.ErrUnreachable, "trusted_root.json"},
		{"root of nothing", time.Hour, func(r *testtuf.Repository) { r.Root = []byte("{}") }, entry.ErrInvalid, "root of a TUF repository"},
		{"no address", time.Hour, func(r *testtuf.Repository) { r.URL = "sigstore" }, entry.ErrInvalid, "not the address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newLab(t).repository(test.valid)
			test.spoil(r)
			for _, cache := range []string{"", t.TempDir()} {
				if _, _, err := open(t, r, cache); !errors.Is(err, test.kind) || !strings.Contains(fmt.Sprint(err), test.want) {
					t.Errorf("%v, want %v: %s", err, test.kind, test.want)
				}
			}
		})
	}
	ended, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	r := newLab(t).repository(time.Hour)
	if _, err := openInstance(ended, instanceOptions{Mirror: r.URL, Root: r.Root}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("time-out: %v", err)
	}
}

// The address of a mirror may hold a password.
func TestMirrorWithAPassword(t *testing.T) {
	r := newLab(t).repository(time.Hour)
	r.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for _, address := range []string{r.URL, missing.URL, "ftp://example.com", "https://exa mple.com", "x://"} {
		mirror := strings.Replace(address, "://", "://user:S3cret@", 1)
		if _, err := openInstance(t.Context(), instanceOptions{Mirror: mirror}); err == nil || strings.Contains(err.Error(), "S3cret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A repository that does not answer leaves time for what is known without it.
func TestInstanceThatHangs(t *testing.T) {
	r, cache := newLab(t).repository(24*time.Hour), t.TempDir()
	if _, _, err := open(t, r, cache); err != nil {
		t.Fatal(err)
	}
	asked, err := filepath.Glob(filepath.Join(cache, "*.json")) // when it was asked
	if err != nil || len(asked) != 1 {
		t.Fatal(asked, err)
	}
	if err := os.Remove(asked[0]); err != nil {
		t.Fatal(err)
	}
	silent := roundTrip(func(request *http.Request) (*http.Response, error) {
		<-request.Context().Done()
		return nil, request.Context().Err()
	})
	for dir, want := range map[string]error{cache: nil, "": entry.ErrUnreachable} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := openInstance(ctx, instanceOptions{Mirror: r.URL, Root: r.Root, Cache: dir, Transport: silent})
		if !errors.Is(err, want) || ctx.Err() != nil {
			t.Errorf("cache %q: %v, want %v before the end: %v", dir, err, want, ctx.Err())
		}
	}
}

// Without a trusted root nothing is said of keyless signatures; what needs none
// is checked as ever.
func TestMissingRoot(t *testing.T) {
	l, d, team := newLab(t), digest.FromString("revision"), testSigner(t)
	policy, err := NewPolicy(missingRoot(errors.New("no network")), nil, &Rule{Keys: []*PublicKey{team.PublicKey()}, Identities: []Identity{{Subject: somebody, Issuer: theirs}}})
	if err != nil {
		t.Fatal(err)
	}
	without := l.bundle(newKey(t), d, 1, false)
	for _, test := range []struct {
		name       string
		want       entry.Verdict
		signatures []Signature
	}{
		{"keyless", entry.VerdictUnknown, []Signature{without}},
		{"a key's", entry.VerdictVerified, []Signature{without, signed(t, team, Bundle, d)}},
		{"a stranger's key", entry.VerdictUntrusted, []Signature{signed(t, testSigner(t), Bundle, d)}},
		{"keyless and a stranger's", entry.VerdictUnknown, []Signature{signed(t, testSigner(t), Bundle, d), without}},
		{"none", entry.VerdictUnsigned, nil},
	} {
		check := policy.check(d, test.signatures...)
		if check.Result != test.want {
			t.Errorf("%s: %+v, want %s", test.name, check, test.want)
		}
		report := applied(&Rule{}).Report(check)
		if test.want == entry.VerdictUnknown && (!strings.Contains(check.Reason, "no network") || !errors.Is(report.Err("entry autosd", d), entry.ErrUnreachable)) {
			t.Errorf("%s: %+v", test.name, check)
		}
	}
}
