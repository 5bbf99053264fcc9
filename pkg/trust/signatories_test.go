package trust

import (
	"context"
	"crypto"
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// again is a key under another name, as a policy may name it twice.
func again(t *testing.T, key *PublicKey, name string) *PublicKey {
	t.Helper()
	same, err := ParsePublicKeys(name, key.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return same[0]
}

// A threshold counts persons: not signatures, not names, and nobody whom the rule
// does not name.
func TestThreshold(t *testing.T) {
	d, other := digest.FromString("revision"), digest.FromString("another")
	a, b, c, stranger := testSigner(t), testSigner(t), testSigner(t), testSigner(t)
	keys := []*PublicKey{a.PublicKey(), again(t, a.PublicKey(), "a's second name"), b.PublicKey(), c.PublicKey(), again(t, b.PublicKey(), "b.pub")}
	policy := byKeys(t, &Rule{Keys: keys, Threshold: 2})
	by := func(s messageSigner, format Format) Signature { return signed(t, s, format, d) }
	one := by(a, Bundle)
	for _, test := range []struct {
		name       string
		want       entry.Verdict
		reason     string
		signatures []Signature
	}{
		{"two", entry.VerdictVerified, "", []Signature{by(a, Bundle), by(b, Bundle)}},
		{"two formats", entry.VerdictVerified, "", []Signature{by(a, Legacy), by(c, Bundle)}},
		{"all three", entry.VerdictVerified, "", []Signature{by(a, Bundle), by(b, Bundle), by(c, Legacy)}},
		{"one", entry.VerdictUntrusted, "signed by 1 of the 2 whom the rule wants", []Signature{by(a, Bundle)}},
		{"one, in both formats", entry.VerdictUntrusted, "signed by 1 of the 2", []Signature{by(a, Bundle), by(a, Legacy)}},
		{"one, named twice", entry.VerdictUntrusted, "signed by 1 of the 2", []Signature{by(b, Bundle), by(b, Bundle)}},
		{"one signature many times", entry.VerdictUntrusted, "signed by 1 of the 2", slices.Repeat([]Signature{one}, signature.MaxSignatures)},
		{"one and a stranger", entry.VerdictUntrusted, "signed by 1 of the 2", []Signature{by(a, Bundle), by(stranger, Bundle)}},
		{"two strangers", entry.VerdictUntrusted, "none of the keys", []Signature{by(stranger, Bundle), by(testSigner(t), Legacy)}},
		{"one, and another over another digest", entry.VerdictUntrusted, "signed by 1 of the 2", []Signature{by(a, Bundle), signed(t, b, Bundle, other)}},
		{"both over another digest", entry.VerdictInvalid, "another digest", []Signature{signed(t, a, Bundle, other), signed(t, b, Legacy, other)}},
		{"one, and one that is broken", entry.VerdictUntrusted, "signed by 1 of the 2", []Signature{by(a, Bundle), signature.New(Bundle, []byte("{}"))}},
		{"two among wrong ones", entry.VerdictVerified, "", []Signature{signature.New(Legacy, []byte("{")), by(stranger, Bundle), one, one, signed(t, c, Bundle, other), by(c, Bundle)}},
		{"none", entry.VerdictUnsigned, "no signature", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := policy.check(d, test.signatures...)
			if check.Result != test.want || !strings.Contains(check.Reason, test.reason) {
				t.Errorf("%s: %q, want %s: %q", check.Result, check.Reason, test.want, test.reason)
			}
		})
	}
}

// Who has signed is shown in one order, however a registry lists the signatures:
// those at a proven time first.
func TestSignersAreShownInOneOrder(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	all := signers{{shown: "c", at: at.Add(time.Hour)}, {shown: "b"}, {shown: "d", at: at}, {shown: "a"}, {shown: "e", at: at}}
	for range 20 {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		got := ""
		for _, one := range all.list(SubjectEntry) {
			got += one.Name
		}
		if got != "decab" {
			t.Fatalf("signers %q, want d, e and c by their times, then a and b by name", got)
		}
	}
}

// A signature by certificate counts for one signer, however many fit; who has
// signed twice is one, and each is taken for whom it helps.
func TestThresholdOfIdentities(t *testing.T) {
	d := digest.FromString("revision")
	l := newLab(t)
	services := l.services(1, false)
	const alice, bob = "https://ci.example.com/alice", "https://ci.example.com/bob"
	by := func(subject string) Signature {
		token := func(context.Context) (string, error) { return idToken(subject, theirs), nil }
		signer, err := newKeyless(keylessOptions{Services: services, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signDigest(t.Context(), signer, nil, Bundle, d, "")
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	exactly := func(subject string) Identity { return Identity{Subject: subject, Issuer: theirs} }
	anybody := func() Identity { return Identity{SubjectRegexp: "https://ci.example.com/.*", Issuer: theirs} }
	key := testSigner(t)
	for _, test := range []struct {
		name       string
		want       entry.Verdict
		identities []Identity
		all        bool
		signatures []Signature
	}{
		{"two who are named", entry.VerdictVerified, []Identity{exactly(alice), exactly(bob)}, false, []Signature{by(alice), by(bob)}},
		{"one whom two patterns fit", entry.VerdictUntrusted, []Identity{exactly(alice), anybody()}, false, []Signature{by(alice)}},
		{"the same, with two certificates", entry.VerdictUntrusted, []Identity{exactly(alice), anybody()}, false, []Signature{by(alice), by(alice)}},
		{"the same, where all are wanted", entry.VerdictUntrusted, []Identity{exactly(alice), anybody()}, true, []Signature{by(alice), by(alice)}},
		{"two whom one pattern fits", entry.VerdictUntrusted, []Identity{anybody(), exactly("nobody")}, false, []Signature{by(alice), by(bob)}},
		{"two of whom one fits both", entry.VerdictVerified, []Identity{exactly(alice), anybody()}, false, []Signature{by(alice), by(bob)}},
		{"the same, the other way round", entry.VerdictVerified, []Identity{anybody(), exactly(alice)}, true, []Signature{by(bob), by(alice)}},
		{"an identity and a key", entry.VerdictVerified, []Identity{exactly(alice)}, false, []Signature{by(alice), signed(t, key, Legacy, d)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule := &Rule{Identities: test.identities, All: test.all, Keys: []*PublicKey{key.PublicKey()}, Threshold: 2}
			if test.all {
				rule.Keys, rule.Threshold = nil, 0
			}
			policy, err := NewPolicy(l.parsedRoot(), nil, rule)
			if err != nil {
				t.Fatal(err)
			}
			if check := policy.check(d, test.signatures...); check.Result != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
		})
	}
}

// What has a key or an identity in common is one signatory, in whatever order it
// is found: a key is the same one in a certificate, and in the second.
func TestSignatoriesAreToldApart(t *testing.T) {
	k, other, mine := testSigner(t).PublicKey(), testSigner(t).PublicKey(), testSigner(t).PublicKey()
	rule := &Rule{
		Keys:       []*PublicKey{k, other},
		Identities: []Identity{{Subject: "alice", Issuer: theirs}, {Subject: "bob", Issuer: theirs}, {SubjectRegexp: "alice|dave", Issuer: theirs}},
	}
	for i := range rule.Identities {
		if err := rule.Identities[i].compile(); err != nil {
			t.Fatal(err)
		}
	}
	certified := func(subject string, public crypto.PublicKey) func() *signatory {
		return func() *signatory {
			return byIdentity(rule, &certifiedBy{subject: subject, issuer: theirs}, &x509.Certificate{PublicKey: public}, Bundle)
		}
	}
	plain := func(key *PublicKey) func() *signatory { return func() *signatory { return byKey(key, Bundle) } }
	for _, test := range []struct {
		name string
		made []func() *signatory
		want int
	}{
		{"two keys", []func() *signatory{plain(k), plain(other)}, 2},
		{"a key, and the same in a certificate", []func() *signatory{plain(k), certified("alice", k.Key)}, 1},
		{"a key in the certificates of two", []func() *signatory{certified("alice", mine.Key), certified("bob", mine.Key)}, 1},
		{"a person with two keys", []func() *signatory{certified("alice", mine.Key), certified("alice", other.Key)}, 1},
		{"two who turn out to be one", []func() *signatory{plain(k), certified("alice", mine.Key), certified("alice", k.Key)}, 1},
		{"the same, and once more", []func() *signatory{plain(k), certified("alice", mine.Key), certified("alice", k.Key), certified("alice", other.Key)}, 1},
		{"one who fits two names, and one who fits one of them", []func() *signatory{certified("alice", k.Key), certified("dave", mine.Key)}, 2},
		{"two, and one who is both", []func() *signatory{plain(k), plain(other), certified("bob", mine.Key), certified("bob", k.Key)}, 2},
		{"three", []func() *signatory{plain(k), certified("alice", mine.Key), certified("bob", other.Key)}, 3},
	} {
		for _, reverse := range []bool{false, true} {
			var found signers
			made := slices.Clone(test.made)
			if reverse {
				slices.Reverse(made)
			}
			for _, make := range made {
				found.add(make())
			}
			for range 20 { // whom a signatory is tried as first is left to chance
				if got := found.count(); got != test.want {
					t.Fatalf("%s, reverse %t: %d signers, want %d", test.name, reverse, got, test.want)
				}
			}
		}
	}
}

// A check lists who signed, each once, with the time that a service proves.
func TestCheckListsSigners(t *testing.T) {
	d := digest.FromString("revision")
	l, key := newLab(t), testSigner(t)
	policy, err := NewPolicy(l.parsedRoot(), nil, &Rule{Keys: []*PublicKey{key.PublicKey()}, Identities: []Identity{{Subject: somebody, Issuer: theirs}}})
	if err != nil {
		t.Fatal(err)
	}
	check := policy.check(d, signed(t, key, Legacy, d), l.signKeyless(l.services(1, false), Bundle, d), signed(t, key, Bundle, d))
	at := entry.NewTime(l.now)
	want := []entry.Signer{
		{Name: somebody + " (" + theirs + ")", What: "entry", Format: "bundle", Time: &at},
		{Name: key.PublicKey().String(), What: "entry", Format: "legacy"},
	}
	if diff := cmp.Diff(want, check.Signers); diff != "" {
		t.Error(diff)
	}
}

// What explains a rule names each of its signers once, and how many are wanted.
func TestExplainsAThreshold(t *testing.T) {
	a, b := testSigner(t).PublicKey(), testSigner(t).PublicKey()
	rule := &Rule{Keys: []*PublicKey{a, b, again(t, a, "copy.pub")}, Threshold: 2}
	byKeys(t, rule)
	both := []string{a.String(), b.String()}
	slices.Sort(both)
	if got, want := rule.explain(), "it wants the entry signed by at least 2 of "+strings.Join(both, ", ")+"; what fails is refused"; got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}
