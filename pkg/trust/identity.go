package trust

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Identity is a keyless signer that a policy names: who, according to whom.
// Either form of both must be given. A regular expression must match the whole
// text, whether it is anchored or not: a policy for https://github.com/org/.*
// does not trust https://evil.example/https://github.com/org/.
type Identity struct {
	Subject       string `json:"subject,omitempty"`
	SubjectRegexp string `json:"subjectRegexp,omitempty"`
	Issuer        string `json:"issuer,omitempty"`
	IssuerRegexp  string `json:"issuerRegexp,omitempty"`

	subject, issuer *regexp.Regexp
}

// compile reads the expressions. The error is an entry.ErrInvalid.
func (i *Identity) compile() (err error) {
	if i.subject, err = wholly("subject", i.Subject, i.SubjectRegexp); err != nil {
		return err
	}
	i.issuer, err = wholly("issuer", i.Issuer, i.IssuerRegexp)
	return err
}

// wholly makes an expression that matches whole texts only.
func wholly(what, exact, expression string) (*regexp.Regexp, error) {
	switch {
	case exact != "" && expression != "":
		return nil, fmt.Errorf("%w: identity: %s is given twice, as text and as a regular expression", entry.ErrInvalid, what)
	case exact != "":
		expression = regexp.QuoteMeta(exact)
	case expression == "":
		return nil, fmt.Errorf("%w: identity: the %s is missing: without it anybody's certificate would do", entry.ErrInvalid, what)
	}
	compiled, err := regexp.Compile(expression)
	if err == nil {
		compiled, err = regexp.Compile(`\A(?:` + expression + `)\z`)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: identity: %s: %v", entry.ErrInvalid, what, err)
	}
	if compiled.MatchString("") {
		return nil, fmt.Errorf("%w: identity: %s %q matches the empty text, and so what nobody vouches for", entry.ErrInvalid, what, expression)
	}
	return compiled, nil
}

// matches reports whether a certificate is of this identity.
func (i *Identity) matches(v *certifiedBy) bool {
	return i.subject.MatchString(v.subject) && i.issuer.MatchString(v.issuer)
}

// shown shows the identity on one line.
func (i *Identity) shown() string {
	subject, issuer := i.Subject, i.Issuer
	if subject == "" {
		subject = "/" + i.SubjectRegexp + "/"
	}
	if issuer == "" {
		issuer = "/" + i.IssuerRegexp + "/"
	}
	return strings.Join([]string{"identity", subject, "by", issuer}, " ")
}
