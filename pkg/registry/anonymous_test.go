package registry

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"
)

// What nobody vouches for is asked without login; the places that the reader named, and
// copies, with theirs.
func TestOpenAnonymously(t *testing.T) {
	const content = "the blob"
	sent := map[string]bool{}
	logged := func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		sent[r.Host+" "+user] = true
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		answer(w, 401, "application/json", `{}`)
	}
	mirror, held, origin := replica(t, content, logged), replica(t, content, logged), replica(t, content, logged)
	options := quick()
	auths := ""
	for _, host := range []string{mirror.host, held.host, origin.host} {
		auths += `,"` + host + `":{"username":"me","password":"p"}`
	}
	options.AuthFile = writeFile(t, t.TempDir()+"/auth.json", `{"auths":{`+auths[1:]+`}}`, 0o600)
	options.Mirrors = []Mirror{{Prefix: origin.host, Location: mirror.host + "/copies"}}
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	ref := Reference{Registry: origin.host, Repository: "team/image"}
	m, err := client.OpenAnonymously(ref, Reference{Registry: held.host, Repository: "held"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readFrom(t, m, describe("application/x", []byte(content)), 0); kind(err) != "unauthorized" {
		t.Errorf("read: %v, want unauthorized", err)
	}
	for what, want := range map[string]bool{origin.host + " ": true, origin.host + " me": false, mirror.host + " me": true, held.host + " me": true} {
		if sent[what] != want {
			t.Errorf("%q was sent: %t, want %t", what, sent[what], want)
		}
	}
	alone, err := client.OpenAnonymously(Reference{Registry: origin.host, Repository: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := readFrom(t, alone, describe("application/x", []byte(content)), 0); kind(err) != "unauthorized" || sent[origin.host+" me"] {
		t.Errorf("read: %v, and a login was sent: %t", err, sent[origin.host+" me"])
	}
	if m, err = client.OpenMirrored(ref); err != nil { // with it after all
		t.Fatal(err)
	}
	if _, _, err := readFrom(t, m, describe("application/x", []byte(content)), 0); !sent[origin.host+" me"] {
		t.Errorf("read with a login: %v, and it was not sent", err)
	}
}

// A client certificate is a login, too.
func TestOpenAnonymouslyShowsNoCertificate(t *testing.T) {
	ours := newAuthority(t)
	host, shown := ours.serve(t, tls.RequestClientCert, oneTag)
	certificate, key := ours.client(t)
	dir := t.TempDir()
	hostDir(t, dir, host, map[string]string{"ca.crt": ours.pem, "client.cert": certificate, "client.key": key})
	client, err := New(Options{PlainHTTP: never, Attempts: 2, Backoff: time.Microsecond, CertificateDirs: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	for want, open := range []func(Reference, ...Reference) (Repository, error){client.OpenAnonymously, client.OpenMirrored} {
		opened, err := open(Reference{Registry: host, Repository: "team/image"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opened.Tags(t.Context()); err != nil || len(*shown) != want {
			t.Errorf("%v; %d certificates were shown, want %d", err, len(*shown), want)
		}
	}
}
