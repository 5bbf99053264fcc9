package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

// spoil changes one member of a bundle, found by its path.
func spoil(t *testing.T, s Signature, change func(bundle map[string]any)) Signature {
	t.Helper()
	var tree map[string]any
	decoder := json.NewDecoder(bytes.NewReader(s.JSON()))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	change(tree)
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return signature.New(s.Format, text)
}

func at(tree map[string]any, path ...string) map[string]any {
	for _, key := range path {
		if list, ok := tree[key].([]any); ok {
			tree = list[0].(map[string]any)
			continue
		}
		tree = tree[key].(map[string]any)
	}
	return tree
}

// flip changes one bit of a member that holds base64, and keeps its length.
func flip(tree map[string]any, key string) {
	text := []byte(tree[key].(string))
	if text[20] == 'A' {
		text[20] = 'B'
	} else {
		text[20] = 'A'
	}
	tree[key] = string(text)
}

// attack is on a keyless signature. It ends in its verdict, and never in another
// that would let it pass.
type attack struct {
	name     string
	want     entry.Verdict
	log      int
	stamped  bool
	identity Identity
	prepare  func(signing, trusted *lab) // before anything is signed
	spoil    func(bundle map[string]any)
	of       digest.Digest // what is signed; "" is what is asked for
}

func checkAttacks(t *testing.T, tests []attack) {
	t.Helper()
	d := digest.FromString("revision")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signing := newLab(t)
			trusted := *signing
			if test.log == -1 {
				trusted.noLog = true
			}
			if test.prepare != nil {
				test.prepare(signing, &trusted)
			}
			if test.name == "expired certificate, late timestamp" {
				signing.stampAt = signing.now.Add(time.Hour)
			}
			if test.identity == (Identity{}) {
				test.identity = Identity{Subject: somebody, Issuer: theirs}
			}
			of := d
			if test.of != "" {
				of = test.of
			}
			log := test.log
			if log == 0 {
				log = 1
			}
			signature := signing.bundle(newKey(t), of, max(log, 0), test.stamped)
			if test.spoil != nil {
				signature = spoil(t, signature, test.spoil)
			}
			check := trusted.trusting(test.identity).check(d, signature)
			if check.Result != test.want || check.Reason == "" {
				t.Errorf("%+v, want %s", check, test.want)
			}
			report := applied(&Rule{}).Report(check)
			if err := report.Err("entry autosd", d); !errors.Is(err, entry.ErrUntrusted) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Who signs, and which services say so.
func TestAttacksOnIdentitiesAndServices(t *testing.T) {
	checkAttacks(t, []attack{
		{name: "over another digest", want: entry.VerdictInvalid, of: digest.FromString("another")},
		{name: "right identity, wrong issuer", want: entry.VerdictUntrusted, identity: Identity{Subject: somebody, Issuer: "https://evil.example.com"}},
		{name: "right issuer, wrong identity", want: entry.VerdictUntrusted, identity: Identity{Subject: "https://ci.example.com/team", Issuer: theirs}},
		{name: "expression not anchored", want: entry.VerdictUntrusted, identity: Identity{SubjectRegexp: `ci\.example\.com/team`, Issuer: theirs}},
		{name: "alternatives not anchored", want: entry.VerdictUntrusted, identity: Identity{SubjectRegexp: `https://a|b.*`, Issuer: theirs}},
		{name: "issuer expression not anchored", want: entry.VerdictUntrusted, identity: Identity{Subject: somebody, IssuerRegexp: `issuer`}},
		{name: "expired certificate, late timestamp", want: entry.VerdictInvalid, log: -1, stamped: true,
			prepare: func(s, _ *lab) { s.noLog = true },
			spoil:   nil, identity: Identity{Subject: somebody, Issuer: theirs}},
		{name: "no timestamp and no log", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { delete(at(b, "verificationMaterial"), "tlogEntries") }},
		{name: "stamped and not logged", want: entry.VerdictInvalid, log: 1, stamped: true,
			spoil: func(b map[string]any) { delete(at(b, "verificationMaterial"), "tlogEntries") }},
		{name: "log entry without promise, and no timestamp", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { delete(at(b, "verificationMaterial", "tlogEntries"), "inclusionPromise") }},
		{name: "second log without timestamp", want: entry.VerdictInvalid, log: 2},
		{name: "another Rekor", want: entry.VerdictUntrusted, log: 1,
			prepare: func(s, _ *lab) { s.logKey = newKey(s.t) }},
		{name: "another Rekor that claims the log's name", want: entry.VerdictInvalid, log: 1,
			prepare: func(s, _ *lab) { s.logName, s.logKey = keyID(s.t, s.logKey), newKey(s.t) }},
		{name: "another certificate authority", want: entry.VerdictUntrusted, log: 1,
			prepare: func(s, _ *lab) { fresh := newLab(s.t); s.ca, s.caKey, s.root = fresh.ca, fresh.caKey, fresh.root }},
		{name: "another timestamp authority", want: entry.VerdictUntrusted, log: 2, stamped: true,
			prepare: func(s, _ *lab) { fresh := newLab(s.t); s.stamper, s.stampKey = fresh.stamper, fresh.stampKey }},
		{name: "certificate not logged", want: entry.VerdictInvalid, log: 1, prepare: func(s, _ *lab) { s.noSCT = true }},
		{name: "certificate logged by a stranger", want: entry.VerdictInvalid, log: 1, prepare: func(s, _ *lab) { s.ctKey = newKey(s.t) }},
		{name: "certificate logged by a stranger that claims the log's name", want: entry.VerdictInvalid, log: 1,
			prepare: func(s, _ *lab) { s.ctName, s.ctKey = keyID(s.t, s.ctKey), newKey(s.t) }},
		{name: "authority no longer used", want: entry.VerdictUntrusted, log: 1, prepare: func(_, trusted *lab) { trusted.retired = true }},
	})
}

// What a bundle holds.
func TestAttacksOnBundles(t *testing.T) {
	checkAttacks(t, []attack{
		{name: "integrated time changed", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { at(b, "verificationMaterial", "tlogEntries")["integratedTime"] = "1700000000" }},
		{name: "log entry of another signature", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { flip(at(b, "verificationMaterial", "tlogEntries"), "canonicalizedBody") }},
		{name: "promise changed", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) {
				flip(at(b, "verificationMaterial", "tlogEntries", "inclusionPromise"), "signedEntryTimestamp")
			}},
		{name: "promise only", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { delete(at(b, "verificationMaterial", "tlogEntries"), "inclusionProof") }},
		{name: "proof for another tree", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) {
				at(b, "verificationMaterial", "tlogEntries", "inclusionProof")["hashes"] = []string{encode(sum256(nil))}
			}},
		{name: "checkpoint changed", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) {
				c := at(b, "verificationMaterial", "tlogEntries", "inclusionProof", "checkpoint")
				c["envelope"] = "other - 42" + c["envelope"].(string)[len("lab - 42"):]
			}},
		{name: "signature changed", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { flip(at(b, "dsseEnvelope", "signatures"), "sig") }},
		{name: "payload type changed", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) { at(b, "dsseEnvelope")["payloadType"] = "text/plain" }},
		{name: "two signatures in the envelope", want: entry.VerdictInvalid, log: 1,
			spoil: func(b map[string]any) {
				e := at(b, "dsseEnvelope")
				e["signatures"] = append(e["signatures"].([]any), e["signatures"].([]any)...)
			}},
		{name: "nothing in it", want: entry.VerdictInvalid, log: 1, spoil: func(b map[string]any) { clear(b) }},
	})
}

// One signer signs one digest twice: the log's entry of one signature does not
// prove the other.
func TestEntryOfTheSignersOtherSignature(t *testing.T) {
	l, d := newLab(t), digest.FromString("revision")
	services := l.services(1, false)
	signer := l.signer(services)
	var bundles [2]Signature
	for i := range bundles {
		var err error
		if bundles[i], err = signDigest(t.Context(), signer, services, Bundle, d, ""); err != nil {
			t.Fatal(err)
		}
	}
	var entries any
	spoil(t, bundles[0], func(b map[string]any) { entries = at(b, "verificationMaterial")["tlogEntries"] })
	swapped := spoil(t, bundles[1], func(b map[string]any) { at(b, "verificationMaterial")["tlogEntries"] = entries })
	if check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, swapped); check.Result != entry.VerdictInvalid {
		t.Errorf("%+v", check)
	}
}

// A signature that another key made, rightly stamped, under somebody's
// certificate.
func TestCertificateOfAnother(t *testing.T) {
	l, d := newLab(t), digest.FromString("revision")
	l.noLog = true
	victim, thief := l.bundle(newKey(t), d, 0, true), l.bundle(newKey(t), d, 0, true)
	var certificate any
	spoil(t, victim, func(b map[string]any) { certificate = at(b, "verificationMaterial")["certificate"] })
	forged := spoil(t, thief, func(b map[string]any) { at(b, "verificationMaterial")["certificate"] = certificate })
	if check := l.trusting(Identity{Subject: somebody, Issuer: theirs}).check(d, forged); check.Result != entry.VerdictInvalid {
		t.Errorf("%+v", check)
	}
}

// Each attack on signatures by key ends in its verdict, in both formats.
func TestAttacksOnKeySignatures(t *testing.T) {
	d, other := digest.FromString("revision"), digest.FromString("another")
	team, stranger := testSigner(t), testSigner(t)
	for _, format := range []Format{Bundle, Legacy} {
		sign := func(s messageSigner, of digest.Digest) Signature { return signed(t, s, format, of) }
		broken := sign(team, d)
		brokenWant := entry.VerdictInvalid
		if format == Bundle {
			broken = spoil(t, broken, func(b map[string]any) { flip(at(b, "dsseEnvelope", "signatures"), "sig") })
		} else {
			// Nothing in the legacy format says which key is meant to have signed.
			broken, brokenWant = spoil(t, broken, func(b map[string]any) { flip(at(b, "annotations"), annotationSignature) }), entry.VerdictUntrusted
		}
		for _, test := range []struct {
			name       string
			want       entry.Verdict
			signatures []Signature
		}{
			{"right", entry.VerdictVerified, []Signature{sign(team, d)}},
			{"none", entry.VerdictUnsigned, nil},
			{"over another digest", entry.VerdictInvalid, []Signature{sign(team, other)}},
			{"wrong key", entry.VerdictUntrusted, []Signature{sign(stranger, d)}},
			{"broken", brokenWant, []Signature{broken}},
			{"no JSON", entry.VerdictInvalid, []Signature{signature.New(format, []byte("{"))}},
			{"a stranger's and a broken one", entry.VerdictUntrusted, []Signature{sign(team, other), sign(stranger, d)}},
			{"right among wrong ones", entry.VerdictVerified, []Signature{signature.New(format, []byte("{")), sign(stranger, d), sign(team, other), sign(team, d)}},
		} {
			t.Run(string(format)+"/"+test.name, func(t *testing.T) {
				check := byKeys(t, &Rule{Keys: []*PublicKey{team.PublicKey()}}).check(d, test.signatures...)
				if check.Result != test.want {
					t.Errorf("%+v, want %s", check, test.want)
				}
			})
		}
	}
}

// An attestation is no signature: it says what somebody did, not that somebody
// stands behind it.
func TestAttestationsAreNoSignatures(t *testing.T) {
	d, signer := digest.FromString("revision"), testSigner(t)
	payload := bytes.Replace(newEnvelope(d).Payload, []byte(typeSignature), []byte("https://slsa.dev/provenance/v1"), 1)
	content := &sign.DSSEData{Data: payload, PayloadType: typeInToto}
	var none *services
	made, err := none.bundle(t.Context(), content, &keypair{messageSigner: signer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	attestation, err := signature.Pack(Bundle, content, made)
	if err != nil {
		t.Fatal(err)
	}
	if check := byKeys(t, &Rule{Keys: []*PublicKey{signer.PublicKey()}}).check(d, attestation); check.Result != entry.VerdictUnsigned {
		t.Errorf("%+v", check)
	}
}

// A rule that wants all of its signers is content with no fewer, and counts
// nobody twice.
func TestAllSigners(t *testing.T) {
	d := digest.FromString("revision")
	a, b := testSigner(t), testSigner(t)
	rule := &Rule{Keys: []*PublicKey{a.PublicKey(), b.PublicKey()}, All: true}
	for _, test := range []struct {
		name    string
		want    entry.Verdict
		signers []messageSigner
	}{
		{"both", entry.VerdictVerified, []messageSigner{a, b}},
		{"one", entry.VerdictUntrusted, []messageSigner{a}},
		{"one twice", entry.VerdictUntrusted, []messageSigner{b, b}},
		{"none", entry.VerdictUnsigned, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var signatures []Signature
			for i, s := range test.signers {
				signatures = append(signatures, signed(t, s, []Format{Bundle, Legacy}[i%2], d))
			}
			if check := byKeys(t, rule).check(d, signatures...); check.Result != test.want {
				t.Errorf("%+v, want %s", check, test.want)
			}
		})
	}
}

func testSigner(t testing.TB) messageSigner {
	t.Helper()
	signer, err := newMessageSigner(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func signed(t testing.TB, s messageSigner, format Format, d digest.Digest) Signature {
	t.Helper()
	signature, err := signDigest(t.Context(), s, nil, format, d, "registry.example.com/team/catalog")
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func byKeys(t testing.TB, rules ...*Rule) *Policy {
	t.Helper()
	policy, err := NewPolicy(nil, nil, rules...)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}
