package trust

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
)

const (
	somebody = "https://ci.example.com/team/build"
	theirs   = "https://issuer.example.com"
)

// signer is somebody's, and checks nothing by a trusted root: tests sign things
// that do not hold.
func (l *lab) signer(services *services) messageSigner {
	l.t.Helper()
	signer, err := newKeyless(keylessOptions{Services: services, Token: theToken})
	if err != nil {
		l.t.Fatal(err)
	}
	return signer
}

func theToken(context.Context) (string, error) { return idToken(somebody, theirs), nil }

// signKeyless signs with a certificate of the lab.
func (l *lab) signKeyless(services *services, format Format, d digest.Digest) Signature {
	l.t.Helper()
	signature, err := signDigest(l.t.Context(), l.signer(services), nil, format, d, "registry.example.com/team/catalog")
	if err != nil {
		l.t.Fatal(err)
	}
	return signature
}

// trusting is a policy that trusts one identity.
func (l *lab) trusting(identity Identity) *Policy {
	l.t.Helper()
	policy, err := NewPolicy(l.parsedRoot(), nil, &Rule{Identities: []Identity{identity}})
	if err != nil {
		l.t.Fatal(err)
	}
	return policy
}

// What the services witness in each way is verified, and says who and when.
func TestKeylessSignatures(t *testing.T) {
	d := digest.FromString("revision")
	for _, test := range []struct {
		name    string
		format  Format
		log     int
		stamped bool
		prepare func(*lab)
	}{
		{"bundle, log", Bundle, 1, false, nil},
		{"bundle, log and timestamp", Bundle, 1, true, nil},
		{"bundle, second log and timestamp", Bundle, 2, true, nil},
		{"bundle, timestamp only", Bundle, 0, true, func(l *lab) { l.noLog = true }},
		{"bundle, no certificate log", Bundle, 1, false, func(l *lab) { l.noSCT, l.noCT = true, true }},
		{"legacy, log", Legacy, 1, false, nil},
		{"legacy, log and timestamp", Legacy, 1, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t)
			if test.prepare != nil {
				test.prepare(l)
			}
			signature := l.signKeyless(l.services(test.log, test.stamped), test.format, d)
			check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, signature)
			if check.Result != entry.VerdictVerified || check.Signer != somebody+" ("+theirs+")" || check.Time == nil || !check.Time.Equal(l.now) || check.Format != test.format {
				t.Errorf("%+v", check)
			}
		})
	}
}

// check checks signatures under a policy's first rule.
func (p *Policy) check(d digest.Digest, signatures ...Signature) Check {
	return p.For("registry.example.com/team/catalog", "autosd").Check(SubjectEntry, d, Evidence{Signatures: signatures})
}

// A signer says which of the two kinds it is, before it has a certificate.
func TestSignerIsKeyless(t *testing.T) {
	l := newLab(t)
	signer, err := LoadSigner(t.Context(), SignerOptions{SigningConfig: l.signingConfig(1, true), Token: theToken, Later: true, LoadOptions: LoadOptions{Now: func() time.Time { return l.now }}})
	if err != nil || !signer.Keyless {
		t.Errorf("a signer by certificate: %+v, %v, want it keyless", signer, err)
	}
	lasting, err := NewSigner(newKey(t))
	if err != nil || lasting.Keyless {
		t.Errorf("a signer by key: %+v, %v, want it not keyless", lasting, err)
	}
}
