package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

// faults is a transport to the lab that answers otherwise where it is told to,
// and counts what is asked for, by path.
type faults struct {
	mu     sync.Mutex
	asked  map[string]int
	answer map[string]func(real *http.Response) (*http.Response, error)
}

func newFaults() *faults {
	return &faults{asked: map[string]int{}, answer: map[string]func(*http.Response) (*http.Response, error){}}
}

// forwarding carries what tests pass on. The default transport would lose requests
// whenever a parallel test closes its httptest.Server, which closes idle
// connections of the default transport too.
var forwarding = http.DefaultTransport.(*http.Transport).Clone()

func (f *faults) RoundTrip(request *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.asked[request.URL.Path]++
	change := f.answer[request.URL.Path]
	f.mu.Unlock()
	response, err := forwarding.RoundTrip(request)
	if err != nil || change == nil {
		return response, err
	}
	return change(response)
}

// says gives an answer with a status and a text.
func says(status int, text string) func(*http.Response) (*http.Response, error) {
	return func(real *http.Response) (*http.Response, error) {
		real.Body.Close()
		real.StatusCode, real.Body = status, io.NopCloser(strings.NewReader(text))
		return real, nil
	}
}

// edits changes the JSON of an answer.
func edits(change func(tree map[string]any)) func(*http.Response) (*http.Response, error) {
	return func(real *http.Response) (*http.Response, error) {
		var tree map[string]any
		decoder := json.NewDecoder(real.Body)
		decoder.UseNumber()
		if err := decoder.Decode(&tree); err != nil {
			return nil, err
		}
		real.Body.Close()
		change(tree)
		text, err := json.Marshal(tree)
		real.Body = io.NopCloser(bytes.NewReader(text))
		return real, err
	}
}

// signFaulty makes a signer and a signature by way of a transport.
func (l *lab) signFaulty(ctx context.Context, f *faults, logVersion int, format Format, root *Root, token string) error {
	services := l.services(logVersion, true)
	services.transport = f
	signer, err := newKeyless(keylessOptions{Services: services, Root: root, Token: func(context.Context) (string, error) { return token, nil }})
	if err != nil {
		return err
	}
	_, err = signDigest(ctx, signer, nil, format, digest.FromString("revision"), "registry.example.com/team/catalog")
	return err
}

const (
	pathCertify = "/api/v2/signingCert"
	pathLog1    = "/api/v1/log/entries"
	pathLog2    = "/api/v2/log/entries"
	pathStamp   = "/stamp"
)

// Whatever a service answers, signing ends with an error of the right kind, and
// the services after it are not asked.
func TestServicesThatFail(t *testing.T) {
	secret := idToken(somebody, theirs)
	entryOf := func(tree map[string]any) map[string]any { return at(tree, labUUID) }
	for _, test := range []struct {
		name   string
		path   string
		answer func(*http.Response) (*http.Response, error)
		kind   error
	}{
		{"token refused", pathCertify, says(401, `{"message":"expired"}`), entry.ErrUnauthorized},
		{"token forbidden", pathCertify, says(403, "no"), entry.ErrUnauthorized},
		{"authority fails", pathCertify, says(503, "later"), entry.ErrUnreachable},
		{"authority redirects", pathCertify, says(307, ""), entry.ErrUnreachable},
		{"authority answers HTML", pathCertify, says(200, "<html>"), entry.ErrUnreachable},
		{"authority answers nothing", pathCertify, says(200, "{}"), entry.ErrUnreachable},
		{"authority answers no certificate", pathCertify, says(200, `{"signedCertificateEmbeddedSct":{"chain":{"certificates":["x"]}}}`), entry.ErrUnreachable},
		{"authority answers without end", pathCertify, says(200, strings.Repeat(" ", maxAnswer+1)), entry.ErrUnreachable},
		{"authority drops the connection", pathCertify, func(*http.Response) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, entry.ErrUnreachable},
		{"stamper refuses", pathStamp, says(403, "no"), entry.ErrUnauthorized},
		{"stamper fails", pathStamp, says(500, "x"), entry.ErrUnreachable},
		{"stamper answers HTML", pathStamp, says(200, "<html>"), entry.ErrUnreachable},
		{"log fails", pathLog1, says(500, `{"code":500,"message":"x"}`), entry.ErrUnreachable},
		{"log answers HTML", pathLog1, says(201, "<html>"), entry.ErrUnreachable},
		{"log answers nothing", pathLog1, says(201, "{}"), entry.ErrUnreachable},
		{"log answers null", pathLog1, says(201, "null"), entry.ErrUnreachable},
		{"log answers an empty entry", pathLog1, says(201, `{"x":{}}`), entry.ErrUnreachable},
		{"log answers without end", pathLog1, says(201, strings.Repeat(" ", maxAnswer+1)), entry.ErrUnreachable},
		{"log answers a number for a body", pathLog1, edits(func(tree map[string]any) { entryOf(tree)["body"] = 7 }), entry.ErrUnreachable},
		{"log answers no proof", pathLog1, edits(func(tree map[string]any) { delete(entryOf(tree), "verification") }), entry.ErrUnreachable},
		{"log answers an empty proof", pathLog1, edits(func(tree map[string]any) { at(entryOf(tree), "verification")["inclusionProof"] = map[string]any{} }), entry.ErrUnreachable},
		{"log answers two entries", pathLog1, edits(func(tree map[string]any) { tree["x"] = tree[labUUID] }), entry.ErrUnreachable},
		{"log has it, and has it not", pathLog1, says(409, "{}"), entry.ErrUnreachable},
		{"log answers what its reader cannot bear", pathLog1, func(*http.Response) (*http.Response, error) { panic("index out of range") }, entry.ErrUnreachable},
		{"second log fails", pathLog2, says(500, "x"), entry.ErrUnreachable},
		{"second log has it", pathLog2, says(409, "x"), entry.ErrConflict},
		{"second log answers HTML", pathLog2, says(201, "<html>"), entry.ErrUnreachable},
		{"second log answers a lie", pathLog2, edits(func(tree map[string]any) {
			at(tree, "inclusionProof", "checkpoint")["envelope"] = "127.0.0.1\n2\nAAAA\n\n"
		}), entry.ErrUntrusted},
		{"log answers a lie", pathLog1, edits(func(tree map[string]any) { entryOf(tree)["logIndex"] = 8 }), entry.ErrUntrusted},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, f := newLab(t), newFaults()
			f.answer[test.path] = test.answer
			version := 1
			if test.path == pathLog2 {
				version = 2
			}
			err := l.signFaulty(t.Context(), f, version, Bundle, l.parsedRoot(), secret)
			if !errors.Is(err, test.kind) || strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%v, want %v", err, test.kind)
			}
			if test.path == pathCertify && len(f.asked) != 1 {
				t.Errorf("asked for %v after the authority failed", f.asked)
			}
		})
	}
}

// A service that does not answer holds nobody up for longer than they allow.
func TestServicesThatHang(t *testing.T) {
	for _, path := range []string{pathCertify, pathStamp, pathLog1, pathLog2} {
		ctx, cancel := context.WithCancelCause(t.Context())
		l, f := newLab(t), newFaults()
		f.answer[path] = func(real *http.Response) (*http.Response, error) {
			real.Body.Close()
			cancel(context.DeadlineExceeded)
			<-real.Request.Context().Done()
			return nil, real.Request.Context().Err()
		}
		version := 1
		if path == pathLog2 {
			version = 2
		}
		if err := l.signFaulty(ctx, f, version, Bundle, nil, idToken(somebody, theirs)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
		cancel(nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	signer := newLab(t).signer(newLab(t).services(1, false)).(*keyless)
	if err := signer.certify(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("certify: %v", err)
	}
}

// The authority may answer with a certificate that it gave to somebody else.
func TestCertificateOfAnotherKey(t *testing.T) {
	l, f := newLab(t), newFaults()
	f.answer[pathCertify] = edits(func(tree map[string]any) {
		other := string(certificatePEM(l.certificate(newKey(t).Public(), somebody, theirs).Raw))
		at(tree, "signedCertificateEmbeddedSct", "chain")["certificates"] = []string{other}
	})
	if err := l.signFaulty(t.Context(), f, 1, Bundle, nil, idToken(somebody, theirs)); !errors.Is(err, entry.ErrUnreachable) || len(f.asked) != 1 {
		t.Errorf("%v, asked for %v", err, f.asked)
	}
}

// What nobody would verify is not returned, in either format.
func TestSignaturesAreCheckedAtOnce(t *testing.T) {
	for _, format := range []Format{Bundle, Legacy} {
		for _, test := range []struct {
			name    string
			prepare func(signing, trusted *lab)
			want    error
		}{
			{"right", func(_, _ *lab) {}, nil},
			{"another authority", func(s, _ *lab) { fresh := newLab(s.t); s.ca, s.caKey, s.root = fresh.ca, fresh.caKey, fresh.root }, entry.ErrUntrusted},
			{"another log", func(s, _ *lab) { s.logKey = newKey(s.t) }, entry.ErrUntrusted},
			{"certificate not logged", func(s, _ *lab) { s.noSCT = true }, entry.ErrUntrusted},
			{"authority no longer used", func(_, trusted *lab) { trusted.retired = true }, entry.ErrUntrusted},
		} {
			l := newLab(t)
			trusted := *l
			test.prepare(l, &trusted)
			if err := l.signFaulty(t.Context(), newFaults(), 1, format, trusted.parsedRoot(), idToken(somebody, theirs)); !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", format, test.name, err, test.want)
			}
		}
	}
}

// What cannot succeed is refused before any service is asked.
func TestKeylessRefusals(t *testing.T) {
	l, right := newLab(t), idToken(somebody, theirs)
	unverified := "e30.eyJlbWFpbCI6ImFAZXhhbXBsZS5jb20iLCJlbWFpbF92ZXJpZmllZCI6ZmFsc2V9.c2ln"
	for _, token := range []string{"", "x", "a.b.c", "e30.e30.c2ln", "e30.bnVsbA.c2ln", unverified} {
		f := newFaults()
		if err := l.signFaulty(t.Context(), f, 1, Bundle, nil, token); !errors.Is(err, entry.ErrInvalid) || len(f.asked) > 0 {
			t.Errorf("token %q: %v, asked for %v", token, err, f.asked)
		}
	}
	f := newFaults()
	err := l.signFaulty(t.Context(), f, 2, Legacy, nil, right)
	if !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), "want the format bundle") || f.asked[pathLog2]+f.asked[pathStamp] > 0 {
		t.Errorf("legacy and the second log: %v, asked for %v", err, f.asked)
	}
	keyed, err := newKeyless(keylessOptions{Services: l.services(1, false), Token: theToken})
	if err != nil || describeSigner(keyed) != "a certificate" {
		t.Errorf("before it is certified: %v, %s", err, describeSigner(keyed))
	}
	for name, services := range map[string]*services{"no services": nil, "nothing": {}, "no witness": l.services(0, false), "no time": l.services(2, false)} {
		if _, err := newKeyless(keylessOptions{Services: services, Token: theToken}); !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a log answers to a signature by a key is about that signature.
func TestLogsThatAnswerAnother(t *testing.T) {
	for _, format := range []Format{Bundle, Legacy} {
		for version, path := range map[int]string{1: pathLog1, 2: pathLog2} {
			if format == Legacy && version == 2 {
				continue
			}
			l, f, team := newLab(t), newFaults(), testSigner(t)
			services := l.services(version, true)
			services.transport = f
			var before string // what the log answered first, whole
			f.answer[path] = func(real *http.Response) (*http.Response, error) {
				text, err := io.ReadAll(real.Body)
				if before == "" {
					before = string(text)
				}
				real.Body = io.NopCloser(strings.NewReader(before))
				return real, err
			}
			for n, want := range []error{nil, entry.ErrUntrusted} {
				_, err := signDigest(t.Context(), team, services, format, digest.FromString(fmt.Sprint(n)), "x")
				if !errors.Is(err, want) {
					t.Errorf("%s, log %d, signature %d: %v, want %v", format, version, n, err, want)
				}
			}
		}
	}
}

// Nobody is shown a token that an answer repeats, as those of proxies do.
func TestAnswersThatRepeatTheToken(t *testing.T) {
	secret := idToken("a", "b")
	for _, status := range []int{200, 307, 401, 403, 500} {
		l, f := newLab(t), newFaults()
		f.answer[pathCertify] = func(real *http.Response) (*http.Response, error) {
			return says(status, real.Request.Header.Get("Authorization"))(real)
		}
		if err := l.signFaulty(t.Context(), f, 1, Bundle, nil, secret); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// With a clock that is wrong, a certificate serves more than one signature, and no
// longer than it lives.
func TestClockThatIsWrong(t *testing.T) {
	for _, wrong := range []time.Duration{24 * time.Hour, 20 * time.Minute, -20 * time.Minute, -24 * time.Hour} {
		l, f := newLab(t), newFaults()
		services := l.services(1, false)
		services.transport = f
		now, asked := l.now.Add(wrong), 0
		signer, err := newKeyless(keylessOptions{Services: services, Now: func() time.Time { return now }, Token: func(context.Context) (string, error) {
			asked++
			return idToken(somebody, theirs), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 1, 2} {
			if err := signer.certify(t.Context()); err != nil || asked != want {
				t.Errorf("%s off: %v, asked for %d tokens, want %d", wrong, err, asked, want)
			}
			if want == 1 && asked == 1 {
				now = now.Add(4 * time.Minute)
			}
		}
	}
}

// One certificate serves a run, until it runs out.
func TestOneCertificateARun(t *testing.T) {
	l, f := newLab(t), newFaults()
	services := l.services(1, false)
	services.transport = f
	now := l.now
	signer, err := newKeyless(keylessOptions{Services: services, Root: l.parsedRoot(), Token: theToken, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := signDigest(t.Context(), signer, nil, Bundle, digest.FromString(fmt.Sprint(i)), ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	sign(5)
	if f.asked[pathCertify] != 1 || f.asked[pathLog1] != 5 {
		t.Errorf("asked for %v", f.asked)
	}
	now = now.Add(9 * time.Minute)
	if sign(1); f.asked[pathCertify] != 2 {
		t.Errorf("with a certificate that has run out: asked for %v", f.asked)
	}
	if describeSigner(signer) != "identity "+somebody {
		t.Errorf("%s", describeSigner(signer))
	}
}

// A key may have witnesses too: then readers see when it signed.
func TestKeyWithServices(t *testing.T) {
	l, d, team := newLab(t), digest.FromString("revision"), testSigner(t)
	for _, test := range []struct {
		format Format
		log    int
	}{{Bundle, 1}, {Bundle, 2}, {Legacy, 1}} {
		signature, err := signDigest(t.Context(), team, l.services(test.log, true), test.format, d, "x")
		if err != nil {
			t.Fatal(err)
		}
		if check := byKeys(t, &Rule{Keys: []*PublicKey{team.PublicKey()}}).check(d, signature); check.Result != entry.VerdictVerified {
			t.Errorf("%s, log %d: %+v", test.format, test.log, check)
		}
		if text := string(signature.JSON()); !strings.Contains(text, "imestamp") {
			t.Errorf("%s: no timestamp in %s", test.format, text)
		}
	}
}

// A log of version 2 wants other hashes of other keys than are signed here.
func TestKeysThatASecondLogRefuses(t *testing.T) {
	l := newLab(t)
	for name, key := range labKeys(t) {
		signer, err := newMessageSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		_, err = signDigest(t.Context(), signer, l.services(2, true), Bundle, digest.FromString("revision"), "")
		if fits := name == "P-256" || name == "RSA-2048"; fits && err != nil || !fits && !errors.Is(err, entry.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Services are chosen as the signing config says.
func TestSigningConfig(t *testing.T) {
	const head = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"`
	one := func(url, operator string, version int, rest string) string {
		return fmt.Sprintf(`{"url":%q,"majorApiVersion":%d,"operator":%q,"validFor":{"start":"2020-01-01T00:00:00Z"%s}}`, url, version, operator, rest)
	}
	a, b := one("https://a.example.com", "a", 1, ""), one("https://b.example.com", "b", 2, "")
	other := one("https://c.example.com", "c", 2, "")
	over := one("https://d.example.com", "d", 1, `,"end":"2021-01-01T00:00:00Z"`)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name, text string
		logs       int
		bad        bool
	}{
		{name: "nothing", text: head + `}`},
		{name: "any one", text: head + `,"rekorTlogUrls":[` + a + `]}`, logs: 1},
		{name: "newest version only", text: head + `,"rekorTlogUrls":[` + a + "," + b + "," + other + `],"rekorTlogConfig":{"selector":"ALL"}}`, logs: 2},
		{name: "so many", text: head + `,"rekorTlogUrls":[` + b + "," + other + `],"rekorTlogConfig":{"selector":"EXACT","count":2}}`, logs: 2},
		{name: "too many", text: head + `,"rekorTlogUrls":[` + b + `],"rekorTlogConfig":{"selector":"EXACT","count":2}}`, bad: true},
		{name: "no longer valid", text: head + `,"rekorTlogUrls":[` + over + `]}`, bad: true},
		{name: "later version", text: head + `,"rekorTlogUrls":[` + one("https://e.example.com", "e", 3, "") + `]}`, bad: true},
		{name: "no address", text: head + `,"caUrls":[` + one("file:///etc/passwd", "a", 1, "") + `]}`, bad: true},
		{name: "selector", text: head + `,"rekorTlogUrls":[` + a + `],"rekorTlogConfig":{"selector":"SOME"}}`, bad: true},
		{name: "media type", text: `{"mediaType":"x"}`, bad: true},
		{name: "HTML", text: "<html>", bad: true},
		{name: "too long", text: head + strings.Repeat(" ", maxRoot) + "}", bad: true},
	} {
		s, err := parseSigningConfig([]byte(test.text), nil, now)
		if test.bad != errors.Is(err, entry.ErrInvalid) || err == nil && len(s.logs) != test.logs {
			t.Errorf("%s: %v, %+v", test.name, err, s)
		}
	}
}
