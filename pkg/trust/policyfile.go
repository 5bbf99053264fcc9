package trust

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v3"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/schema"
)

// maxPolicy bounds a policy file, in bytes.
const maxPolicy = 1 << 20

// The policy file.
type (
	policyJSON struct {
		Version     int        `json:"version"`
		TrustedRoot string     `json:"trustedRoot"`
		Rules       []ruleJSON `json:"rules"`
		Default     *ruleJSON  `json:"default"`
	}
	ruleJSON struct {
		Catalog    string     `json:"catalog"`
		Name       string     `json:"name"`
		Require    string     `json:"require"`
		Mode       string     `json:"mode"`
		Signers    string     `json:"signers"`
		Threshold  int        `json:"threshold"`
		Origins    []string   `json:"origins"`
		Keys       []keyJSON  `json:"keys"`
		Identities []Identity `json:"identities"`
	}
	keyJSON struct {
		File string `json:"file"`
		PEM  string `json:"pem"`
	}
)

var policySchema = sync.OnceValues(func() (*schema.Validator, error) { return schema.Compile(schema.PolicyV1) })

// readPolicy reads a policy file, YAML or JSON, and the keys and the trusted
// root that it names, through read. Where it names identities and no root, instance
// is asked for one; with nil that is an error. What the schema does not know is an
// error, not ignored: a misspelt rule must not go unheeded. The error is an
// entry.ErrInvalid, or that of instance.
func readPolicy(text []byte, read func(path string) ([]byte, error), instance func() (*Root, error)) (*Policy, error) {
	file, err := decodePolicy(text)
	if err != nil {
		return nil, err
	}
	var rules []*Rule
	for i := range file.Rules {
		rule, err := file.Rules[i].rule(fmt.Sprintf("rule %d", i+1), read)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	var byDefault *Rule
	if file.Default != nil {
		if byDefault, err = file.Default.rule("the default rule", read); err != nil {
			return nil, err
		}
	}
	root, err := file.root(append(rules, byDefault), read, instance)
	if err != nil {
		return nil, err
	}
	return NewPolicy(root, byDefault, rules...)
}

// root is the trusted root that the rules are checked by; nil where none is named
// and none is needed.
func (p *policyJSON) root(rules []*Rule, read func(path string) ([]byte, error), instance func() (*Root, error)) (*Root, error) {
	if p.TrustedRoot == "" {
		needed := slices.ContainsFunc(rules, func(r *Rule) bool { return r != nil && len(r.Identities) > 0 })
		if !needed || instance == nil {
			return nil, nil
		}
		root, err := instance()
		if err != nil {
			return nil, fmt.Errorf("policy: trusted root: %w", err)
		}
		return root, nil
	}
	content, err := read(p.TrustedRoot)
	if err != nil {
		return nil, fmt.Errorf("%w: policy: trusted root: %v", entry.ErrInvalid, err)
	}
	root, err := parseRoot(content)
	if err != nil {
		return nil, fmt.Errorf("policy: %s: %w", p.TrustedRoot, err)
	}
	return root, nil
}

func (r *ruleJSON) rule(where string, read func(path string) ([]byte, error)) (*Rule, error) {
	rule := &Rule{
		Catalog: r.Catalog, Name: r.Name, Require: requirements[r.Require], Warn: r.Mode == "warn", All: r.Signers == "all", Threshold: r.Threshold, Origins: r.Origins,
		Identities: r.Identities,
	}
	for _, k := range r.Keys {
		text, name := []byte(k.PEM), ""
		if k.File != "" {
			var err error
			if text, err = read(k.File); err != nil {
				return nil, fmt.Errorf("%w: policy: %s: key: %v", entry.ErrInvalid, where, err)
			}
			name = k.File
		}
		keys, err := ParsePublicKeys(name, text)
		if err != nil {
			return nil, fmt.Errorf("policy: %s: %w", where, err)
		}
		rule.Keys = append(rule.Keys, keys...)
	}
	return rule, nil
}

// decodePolicy reads one YAML document and checks it against the schema.
func decodePolicy(text []byte) (*policyJSON, error) {
	bad := func(err error) (*policyJSON, error) {
		return nil, fmt.Errorf("%w: policy: %v", entry.ErrInvalid, err)
	}
	if len(text) > maxPolicy {
		return bad(fmt.Errorf("longer than %d bytes", maxPolicy))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return bad(err)
	}
	var more any
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return bad(errors.New("want one document"))
	}
	plain, err := json.Marshal(tree)
	if err != nil {
		return bad(err)
	}
	validator, err := policySchema()
	if err != nil {
		return nil, err
	}
	var parsed any
	if err := json.Unmarshal(plain, &parsed); err != nil {
		return bad(err)
	}
	if problems := validator.Problems(parsed); len(problems) > 0 {
		return bad(explain(problems))
	}
	file := new(policyJSON)
	if err := json.Unmarshal(plain, file); err != nil {
		return bad(err)
	}
	return file, nil
}

// explain makes one line of what violates the schema, and where.
func explain(problems []schema.Problem) error {
	all := make([]string, len(problems))
	for i, p := range problems {
		if strings.HasPrefix(p.Reason, "oneOf:") {
			p.Reason = "want one of subject and subjectRegexp, and one of issuer and issuerRegexp"
		}
		all[i] = fmt.Sprintf("%s: %s", signature.Printable(cmp.Or(p.Pointer, "/")), p.Reason)
	}
	return errors.New(strings.Join(all, "; "))
}
