package trust

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
)

var full = flag.Bool("full", false, "make all mutations, not a tenth")

// mutations returns how many of each format a test makes.
func mutations() int {
	if *full {
		return 2000
	}
	return 200
}

// A signature that was changed in any place is no better than sigstore-go by
// itself thinks of it, and is checked without a panic.
func TestMutations(t *testing.T) {
	l, d := newLab(t), digest.FromString("revision")
	policy, named := l.trusting(Identity{Subject: somebody, Issuer: theirs}), l.parsedRoot().named
	for name, right := range seeds(l, d) {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			counted := map[entry.Verdict]int{}
			for i := range mutations() {
				text := mutate(random, right.JSON())
				signature, ok := signature.Parse(text)
				if !ok {
					continue
				}
				check := policy.check(d, signature)
				counted[check.Result]++
				if check.Result == entry.VerdictVerified && signature.Format == Bundle && !oracle(t, named, d, text) {
					t.Errorf("mutation %d is verified, and not by sigstore-go:\n%s", i, text)
				}
				if check.Result == entry.VerdictVerified && signature.Format == Legacy && !bytes.Equal(evidence(t, text), evidence(t, right.JSON())) {
					t.Errorf("mutation %d is verified, and is another signature:\n%s", i, text)
				}
			}
			if counted[entry.VerdictInvalid] < mutations()/4 || counted[entry.VerdictVerified] == mutations() {
				t.Errorf("%v: the mutations change too little", counted)
			}
			t.Log(counted)
		})
	}
}

func FuzzCheck(f *testing.F) {
	l, d := newLab(f), digest.FromString("revision")
	policy, named := l.trusting(Identity{Subject: somebody, Issuer: theirs}), l.parsedRoot().named
	for _, right := range seeds(l, d) {
		f.Add(right.JSON())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		signature, ok := signature.Parse(text)
		if ok && policy.check(d, signature).Result == entry.VerdictVerified && signature.Format == Bundle && !oracle(t, named, d, text) {
			t.Errorf("verified, and not by sigstore-go:\n%s", text)
		}
	})
}

// seeds are signatures that are verified, of each kind.
func seeds(l *lab, d digest.Digest) map[string]Signature {
	return map[string]Signature{
		"bundle":     craft{lab: l, stamps: []*lab{l}}.make(d),
		"bundle 0.1": craft{lab: l, media: mediaTypeV01}.make(d),
		"second log": l.signKeyless(l.services(2, true), Bundle, d),
		"legacy":     craft{lab: l, legacy: true, stamps: []*lab{l}}.make(d),
	}
}

// oracle reports whether sigstore-go alone verifies a bundle.
func oracle(t *testing.T, named root.TrustedMaterial, d digest.Digest, text []byte) bool {
	t.Helper()
	verifier, err := verify.NewVerifier(named, required(named)...)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := verify.NewShortCertificateIdentity(theirs, "", somebody, "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle.Bundle{}
	if b.UnmarshalJSON(text) != nil {
		return false
	}
	sum, _ := hex.DecodeString(d.Encoded())
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithCertificateIdentity(identity)))
	return err == nil
}

// evidence is what of a legacy signature must not change for it to be verified.
func evidence(t *testing.T, text []byte) []byte {
	t.Helper()
	var saved savedJSON
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(saved.Annotations[annotationSignature])
	if err != nil {
		t.Fatal(err)
	}
	return append(signature, saved.Payload...)
}

// mutate changes one member of a JSON text, or its bytes.
func mutate(random *rand.Rand, text []byte) []byte {
	if random.IntN(10) == 0 {
		out := bytes.Clone(text)
		out[random.IntN(len(out))] = byte(random.IntN(256))
		return out
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		panic(err)
	}
	steps := 1 + random.IntN(6)
	return mustJSON(mutateTree(random, tree, steps))
}

func mutateTree(random *rand.Rand, node any, depth int) any {
	switch node := node.(type) {
	case map[string]any:
		keys := make([]string, 0, len(node))
		for key := range node {
			if key != "mediaType" || random.IntN(10) == 0 {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			return odd(random)
		}
		slices.Sort(keys)
		key := keys[random.IntN(len(keys))]
		switch {
		case depth > 0 && random.IntN(8) > 0:
			node[key] = mutateTree(random, node[key], depth-1)
		case random.IntN(3) == 0:
			delete(node, key)
		case random.IntN(3) == 0:
			node[keys[random.IntN(len(keys))]] = node[key]
		default:
			node[key] = odd(random)
		}
		return node
	case []any:
		if len(node) == 0 || random.IntN(6) == 0 {
			return odd(random)
		}
		i := random.IntN(len(node))
		if random.IntN(4) == 0 {
			return append(node, node[i])
		}
		node[i] = mutateTree(random, node[i], depth)
		return node
	case string:
		return mutateText(random, node, depth)
	}
	return odd(random)
}

// mutateText changes a text, or the JSON in it, which may be in base64.
func mutateText(random *rand.Rand, text string, depth int) any {
	inner, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err == nil && len(inner) > 1 && inner[0] == '{' && json.Valid(inner):
		return base64.StdEncoding.EncodeToString(mutate(random, inner))
	case len(text) > 1 && text[0] == '{' && json.Valid([]byte(text)):
		return string(mutate(random, []byte(text)))
	case err == nil && len(inner) > 0 && random.IntN(3) > 0:
		inner[random.IntN(len(inner))] ^= 1 << random.IntN(8)
		return base64.StdEncoding.EncodeToString(inner)
	case random.IntN(3) == 0:
		return text[:random.IntN(len(text)+1)]
	}
	return odd(random)
}

func odd(random *rand.Rand) any {
	return []any{nil, true, 0, -1, 1e300, "", "A", strings.Repeat("QUJD", 30000), []any{}, object{}, []any{nil}, object{"": nil}, "AAAA", "9223372036854775807"}[random.IntN(14)]
}

// largeMembers put about a megabyte into one member of a bundle each.
func largeMembers() map[string]func(s object) {
	filler := strings.Repeat("QUJD", 200_000)
	return map[string]func(s object){
		"body":      func(s object) { at(s, "verificationMaterial", "tlogEntries")["canonicalizedBody"] = filler },
		"payload":   func(s object) { s["dsseEnvelope"].(object)["payload"] = filler },
		"signature": func(s object) { at(s, "dsseEnvelope", "signatures")["sig"] = filler },
		"timestamp": func(s object) {
			at(s, "verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")["signedTimestamp"] = filler
		},
		"checkpoint": func(s object) {
			at(s, "verificationMaterial", "tlogEntries", "inclusionProof", "checkpoint")["envelope"] = strings.Repeat("a\n", 200_000)
		},
		"hashes": func(s object) {
			var hashes []any
			for range 20_000 {
				hashes = append(hashes, encode(sum256(nil)))
			}
			at(s, "verificationMaterial", "tlogEntries", "inclusionProof")["hashes"] = hashes
		},
		"certificate": func(s object) { at(s, "verificationMaterial", "certificate")["rawBytes"] = filler },
		"nesting": func(s object) {
			s["dsseEnvelope"] = json.RawMessage(strings.Repeat(`[`, 400_000) + strings.Repeat(`]`, 400_000))
		},
	}
}

// 32 signatures of 1 MiB each, in whichever member the bytes are, cost no more
// memory than a few times what they hold.
func TestLargeSignaturesAreBounded(t *testing.T) {
	l, d := newLab(t), digest.FromString("revision")
	policy := l.trusting(Identity{Subject: somebody, Issuer: theirs})
	for name, fill := range largeMembers() {
		t.Run(name, func(t *testing.T) {
			c := craft{lab: l, stamps: []*lab{l}}
			text := c.make(d).JSON()
			var tree object
			if err := json.Unmarshal(text, &tree); err != nil {
				t.Fatal(err)
			}
			fill(tree)
			text, err := json.Marshal(tree)
			if err != nil {
				text = []byte(strings.Replace(string(mustJSON(object{"mediaType": mediaTypeV03, "x": 1})), `"x":1`, `"dsseEnvelope":`+string(tree["dsseEnvelope"].(json.RawMessage)), 1))
			}
			if len(text) > maxSignature {
				t.Fatalf("%d bytes, more than a signature may have", len(text))
			}
			var many []Signature
			for range signature.MaxSignatures {
				signature, ok := signature.Parse(text)
				if !ok {
					return // refused before it is looked into
				}
				many = append(many, signature)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			check := policy.check(d, many...)
			runtime.ReadMemStats(&after)
			if check.Result == entry.VerdictVerified != (name == "timestamp") {
				t.Errorf("%+v", check) // a bad timestamp beside a log's entry counts for nothing
			}
			if per := (after.TotalAlloc - before.TotalAlloc) / signature.MaxSignatures; per > 40*maxSignature {
				t.Errorf("%d MiB allocated for each signature of at most 1 MiB", per>>20)
			}
		})
	}
}

// What is checked at the same time, of one signature and of many, does not
// disturb each other.
func TestCheckInParallel(t *testing.T) {
	l, d := newLab(t), digest.FromString("revision")
	rule := func() *Policy { return l.trusting(Identity{Subject: somebody, Issuer: theirs}) }
	signatures := seeds(l, d)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			policy := rule()
			for name, signature := range signatures {
				if check := policy.check(d, signature); check.Result != entry.VerdictVerified {
					t.Errorf("%s: %+v", name, check)
				}
			}
		})
	}
	group.Wait()
}

// The libraries write nothing to stderr, whatever they verify; but for a line about
// signatures of an older kind, which sigstore-go writes by itself.
func TestCheckIsSilent(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPinned", "-test.skip=/P-384,_SHA-256$")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if out, err := command.Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", signature.Shorten(stderr.String()))
	}
}
