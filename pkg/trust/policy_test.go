package trust

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// files is a directory of what policies name.
func files(content map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if text, ok := content[path]; ok {
			return []byte(text), nil
		}
		return nil, os.ErrNotExist
	}
}

func TestReadPolicy(t *testing.T) {
	l := newLab(t)
	a, b := testSigner(t).PublicKey(), testSigner(t).PublicKey()
	read := files(map[string]string{"a.pub": string(a.PEM()), "root.json": string(l.trustedRoot())})
	policy, err := readPolicy(fmt.Appendf(nil, `
version: 1
trustedRoot: root.json
rules:
  - catalog: registry.example.com/team/*
    name: autosd-*
    require: both
    signers: all
    keys: [{file: a.pub}, {pem: %q}]
    identities:
      - subjectRegexp: https://github.com/team/.*
        issuer: https://token.actions.githubusercontent.com
default:
  mode: warn
  keys: [{file: a.pub}]
`, b.PEM()), read, nil)
	if err != nil {
		t.Fatal(err)
	}
	rule := policy.For("registry.example.com/team/catalog", "autosd-qemu")
	want := "it wants the entry and the image signed by all of identity /https://github.com/team/.*/ by https://token.actions.githubusercontent.com, " +
		strings.Join(sortedKeys(a, "a.pub", b, ""), ", ") + "; what fails is refused"
	if got := rule.rule.explain(); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if rule.Warn || rule.Name != "rule 1" {
		t.Errorf("%s, warn %t", rule.Name, rule.Warn)
	}
	if other := policy.For("registry.example.com/other", "autosd-qemu"); !other.Warn || other.Name != "the default rule" {
		t.Errorf("%s, warn %t", other.Name, other.Warn)
	}
}

func sortedKeys(a *PublicKey, nameA string, b *PublicKey, nameB string) []string {
	a.name, b.name = nameA, nameB
	first, second := a.String(), b.String()
	if second < first {
		first, second = second, first
	}
	return []string{first, second}
}

// A policy that would check nothing, or not what it seems to, is an error.
func TestInvalidPolicies(t *testing.T) {
	l := newLab(t)
	key := string(testSigner(t).PublicKey().PEM())
	read := files(map[string]string{"k": key, "r": string(l.trustedRoot()), "none": "", "cut": key + key[:60], "small": smallRSA})
	for name, test := range map[string]struct{ text, want string }{
		"empty":                      {"", "EOF"},
		"no rules":                   {"version: 1", "missing"},
		"empty rules":                {"version: 1\nrules: []", "minItems"},
		"no version":                 {"rules: [{keys: [{file: k}]}]", "version"},
		"later version":              {"version: 2\nrules: [{keys: [{file: k}]}]", "version"},
		"rule without signers":       {"version: 1\nrules: [{name: a}]", "keys"},
		"no keys":                    {"version: 1\nrules: [{keys: []}]", "minItems"},
		"misspelt field":             {"version: 1\nrules: [{keys: [{file: k}], requires: both}]", "requires"},
		"misspelt top":               {"version: 1\nrule: []\nrules: [{keys: [{file: k}]}]", "rule"},
		"unknown mode":               {"version: 1\nrules: [{keys: [{file: k}], mode: off}]", "mode"},
		"null rule":                  {"version: 1\nrules: [null]", "object"},
		"duplicate key":              {"version: 1\nversion: 1\nrules: [{keys: [{file: k}]}]", "already defined"},
		"two documents":              {"version: 1\nrules: [{keys: [{file: k}]}]\n---\nversion: 1", "one document"},
		"missing file":               {"version: 1\nrules: [{keys: [{file: x}]}]", "not exist"},
		"no key in the file":         {"version: 1\nrules: [{keys: [{file: none}]}]", "PEM"},
		"a key that is cut":          {"version: 1\nrules: [{keys: [{file: cut}]}]", "damaged"},
		"weak key":                   {"version: 1\nrules: [{keys: [{file: small}]}]", "1024 bits"},
		"file and pem":               {"version: 1\nrules: [{keys: [{file: k, pem: x}]}]", "maxProperties"},
		"identity without root":      {"version: 1\nrules: [{identities: [{subject: a, issuer: b}]}]", "no trusted root"},
		"identity without issuer":    {"version: 1\ntrustedRoot: r\nrules: [{identities: [{subject: a}]}]", "issuer"},
		"identity without subject":   {"version: 1\ntrustedRoot: r\nrules: [{identities: [{issuer: a}]}]", "subject"},
		"expression for anything":    {"version: 1\ntrustedRoot: r\nrules: [{identities: [{subjectRegexp: '.*', issuer: b}]}]", "empty text"},
		"bad expression":             {"version: 1\ntrustedRoot: r\nrules: [{identities: [{subjectRegexp: '(', issuer: b}]}]", "missing closing"},
		"expression that breaks out": {"version: 1\ntrustedRoot: r\nrules: [{identities: [{subjectRegexp: 'a)|(?:b', issuer: b}]}]", "unexpected )"},
		"other glob":                 {"version: 1\nrules: [{name: 'a?', keys: [{file: k}]}]", "pattern"},
		"default with a name":        {"version: 1\ndefault: {name: a, keys: [{file: k}]}", "not"},
		"bad root":                   {"version: 1\ntrustedRoot: k\nrules: [{keys: [{file: k}]}]", "trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := readPolicy([]byte(test.text), read, nil)
			if policy != nil || !errors.Is(err, entry.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if _, err := NewPolicy(nil, nil); !errors.Is(err, entry.ErrInvalid) {
		t.Errorf("no rules: %v", err)
	}
}

const smallRSA = `-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----
`

func TestMostSpecificRuleWins(t *testing.T) {
	key := []*PublicKey{testSigner(t).PublicKey()}
	rule := func(catalog, name string) *Rule { return &Rule{Catalog: catalog, Name: name, Keys: key} }
	policy, err := NewPolicy(nil, &Rule{Keys: key},
		rule("", "autosd-*"), rule("registry.example.com/**", ""), rule("registry.example.com/team/*", ""),
		rule("registry.example.com/team/*", "autosd-*"), rule("registry.example.com/team/*", "autosd-q*"), rule("registry.example.com/team/*", "autosd-r*"),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ catalog, name, want string }{
		{"registry.example.com/team/catalog", "autosd-qemu", "rule 5"},
		{"registry.example.com/team/catalog", "autosd-x", "rule 4"},
		{"registry.example.com/team/catalog", "other", "rule 3"},
		{"registry.example.com/team/a/b", "autosd-qemu", "rule 2"},
		{"oci:/data/catalog", "autosd-qemu", "rule 1"},
		{"oci:/data/catalog", "other", "the default rule"},
	} {
		if got := policy.For(test.catalog, test.name).Name; got != test.want {
			t.Errorf("%s %s: %s, want %s", test.catalog, test.name, got, test.want)
		}
		if lines := policy.Explain(test.catalog, test.name); !strings.Contains(strings.Join(lines, "\n"), test.want) {
			t.Errorf("%s %s: explained as %q", test.catalog, test.name, lines)
		}
	}
	only := byKeys(t, rule("", "autosd"))
	if got := only.For("c", "other"); got.Name != "" {
		t.Errorf("no rule applies, and %s does", got.Name)
	}
}

// What decides, and how signers are called, is in the hash, and nothing else is.
func TestHash(t *testing.T) {
	a, b := testSigner(t).PublicKey(), testSigner(t).PublicKey()
	hash := func(rules ...*Rule) string { return byKeys(t, rules...).Hash() }
	same := hash(&Rule{Keys: []*PublicKey{a}})
	if again := hash(&Rule{Keys: []*PublicKey{a}}); again != same {
		t.Error("the same policy has two hashes")
	}
	seen := map[string]string{same: "the first"}
	for name, rule := range map[string]*Rule{
		"key": {Keys: []*PublicKey{b}}, "more keys": {Keys: []*PublicKey{a, b}}, "all": {Keys: []*PublicKey{a, b}, All: true},
		"threshold": {Keys: []*PublicKey{a, b}, Threshold: 2}, "name of the key": {Keys: []*PublicKey{again(t, a, "other")}},
		"name": {Name: "x", Keys: []*PublicKey{a}}, "catalog": {Catalog: "x", Keys: []*PublicKey{a}},
		"require": {Require: []Subject{SubjectImage}, Keys: []*PublicKey{a}}, "mode": {Warn: true, Keys: []*PublicKey{a}},
	} {
		h := hash(rule)
		if other := seen[h]; other != "" {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h] = name
	}
	l := newLab(t)
	identity := func(root *Root) string {
		policy, err := NewPolicy(root, nil, &Rule{Identities: []Identity{{Subject: "a", Issuer: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		return policy.Hash()
	}
	first := l.parsedRoot()
	l.noCT = true
	if identity(first) == identity(l.parsedRoot()) {
		t.Error("two trusted roots have one hash")
	}
}

func TestIdentityExpressions(t *testing.T) {
	for _, test := range []struct {
		expression, subject string
		want                bool
	}{
		{"https://github.com/org/.*", "https://github.com/org/repo", true},
		{"https://github.com/org/.*", "https://evil.example/https://github.com/org/x", false},
		{"https://github.com/org", "https://github.com/org-evil/x", false},
		{"^https://github.com/org/.*$", "https://github.com/org/repo", true},
		{"a|b", "xa", false}, {"a|b", "bx", false}, {"a|b", "b", true},
		{"(?m)^a$", "a\nb", false}, {"a.b", "a\nb", false},
	} {
		i := Identity{SubjectRegexp: test.expression, Issuer: "i"}
		if err := i.compile(); err != nil {
			t.Fatal(err)
		}
		if got := i.matches(&certifiedBy{subject: test.subject, issuer: "i"}); got != test.want {
			t.Errorf("%q matches %q: %t", test.expression, test.subject, got)
		}
	}
	exact := Identity{Subject: "a.b", Issuer: "i"}
	if err := exact.compile(); err != nil || exact.matches(&certifiedBy{subject: "axb", issuer: "i"}) {
		t.Errorf("an exact subject is taken for an expression: %v", err)
	}
}

func FuzzReadPolicy(f *testing.F) {
	key := string(testSigner(f).PublicKey().PEM())
	read := files(map[string]string{"k": key})
	for _, seed := range []string{
		"version: 1\nrules: [{keys: [{file: k}]}]", "version: 1\ndefault: {keys: [{file: k}], mode: warn}",
		"version: 1\nrules: [{catalog: 'a/**', name: 'b*', require: both, signers: all, keys: [{file: k}]}]", "a: &a [*a]", "{}", "version: 1\nrules: [null]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := readPolicy(text, read, nil)
		if err != nil {
			if policy != nil || !errors.Is(err, entry.ErrInvalid) {
				t.Errorf("policy %v, error %v", policy, err)
			}
			return
		}
		// Whatever was read checks something, or trusts nobody.
		rule := policy.For("registry.example.com/team/catalog", "autosd")
		if rule.rule != nil && len(rule.rule.Keys)+len(rule.rule.Identities) == 0 {
			t.Errorf("a rule without signers: %s", text)
		}
		check := rule.Check(SubjectEntry, "sha256:"+cmpDigest, Evidence{})
		if check.Result != entry.VerdictUnsigned && check.Result != entry.VerdictUntrusted {
			t.Errorf("no signature is %s", check.Result)
		}
		if diff := cmp.Diff(policy.Hash(), policy.Hash()); diff != "" {
			t.Error(diff)
		}
	})
}

const cmpDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// An instance is asked for a trusted root where identities have none, and only
// there; that it cannot be asked is its own error.
func TestPolicyOfAnInstance(t *testing.T) {
	l := newLab(t)
	const who = "version: 1\nrules: [{identities: [{subject: a, issuer: b}]}]"
	read := func(string) ([]byte, error) { return l.trustedRoot(), nil }
	for name, tt := range map[string]struct {
		text  string
		asked int
	}{
		"identities":  {who, 1},
		"by default":  {"version: 1\ndefault: {identities: [{subject: a, issuer: b}]}", 1},
		"with a root": {who + "\ntrustedRoot: root.json", 0},
		"keys":        {"version: 1\nrules: [{keys: [{pem: " + strconv.Quote(string(testSigner(t).PublicKey().PEM())) + "}]}]", 0},
	} {
		asked := 0
		policy, err := readPolicy([]byte(tt.text), read, func() (*Root, error) {
			asked++
			return l.parsedRoot(), nil
		})
		if policy == nil || err != nil || asked != tt.asked {
			t.Errorf("%s: asked %d times, %v; want %d and a policy", name, asked, err, tt.asked)
		}
	}
	if _, err := readPolicy([]byte(who), read, func() (*Root, error) { return nil, entry.ErrUnreachable }); !errors.Is(err, entry.ErrUnreachable) {
		t.Errorf("of an instance that is away: %v, want unreachable", err)
	}
}
