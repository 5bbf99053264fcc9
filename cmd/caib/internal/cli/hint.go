package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

// hintedError is an error with the command that helps.
type hintedError struct {
	error
	hint string
}

func (h hintedError) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hintedError{err, fmt.Sprintf(format, args...)}
}

const (
	noAnswerHint  = "nothing is known about what was asked; try again, with --verbose to see every request"
	malformedHint = "look at what is there: `skopeo inspect --raw docker://REF`, or oci:DIRECTORY:NAME; if it was damaged, push it again"
	authorityHint = "give the registry's certificate authority with --ca-file"
)

// hint finds the help for an error: its own, or that of what it wraps.
func hint(err error) string {
	var told *partialError
	var own hintedError
	var missing *catalog.MissingError
	var clock *catalog.ClockError
	var lost *catalog.LostError
	var hidden *catalog.HiddenError
	var unsigned *catalog.UnsignedError
	var answer *registry.Error
	var certificate *tls.CertificateVerificationError
	var misused *usageError
	switch {
	case errors.As(err, &told):
		return ""
	case errors.As(err, &own):
		return own.hint
	case serverHint(err) != "":
		return serverHint(err)
	case errors.As(err, &missing):
		return "a cache in front of the registry, or a rule that deletes tags, may hide them: ask the registry itself; if it was replaced, `caib catalog accept-loss --local --all` forgets what was seen"
	case errors.As(err, &lost):
		return "publish the entry again, or accept the loss with `caib catalog accept-loss NAME`; if the registry was replaced, add --local"
	case errors.As(err, &unsigned):
		return "sign it with --sign-key FILE or --sign-keyless, or give --unsigned to go on although readers will refuse it"
	case errors.As(err, &clock):
		return "set the clock of this machine, or the registry's"
	case errors.As(err, &hidden):
		return fmt.Sprintf("if there is no catalog at %[1]s yet, begin it with --init; if there is one, it cannot be read%[2]s: `caib catalog login-check %[1]s`", hidden.Catalog, as(err))
	case errors.As(err, &answer) && len(answer.Names) > 0:
		return ambiguousHint(answer)
	case answer != nil && answer.Layout != "":
		return layoutHint(answer)
	}
	if answer != nil {
		if help := answerHint(answer); help != "" {
			return help
		}
	}
	switch {
	case errors.Is(err, entry.ErrUnauthorized):
		return "`caib catalog login-check REF` shows which login is used; log in with `docker login HOST` or `podman login HOST`, or give a credentials file with --authfile"
	case errors.As(err, &certificate):
		return authorityHint
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout):
		return noAnswerHint
	case errors.Is(err, entry.ErrLaterFormat):
		return "" // the error says it
	case errors.Is(err, entry.ErrMalformed):
		return malformedHint
	case errors.As(err, &misused):
		return "`caib catalog --help` lists the commands"
	}
	return ""
}

// as names the account that a registry was asked as, for a hint.
func as(err error) string {
	var answer *registry.Error
	if !errors.As(err, &answer) || answer.Account == "" {
		return ""
	}
	if answer.Account == anonymous {
		return " without a login"
	}
	return " as " + answer.Account
}

// anonymous is what a registry.Account calls nobody.
var anonymous = registry.Account{}.String()

// answerHint is the help for what a registry answered: its own words, the
// account that it answered, and a command.
func answerHint(answer *registry.Error) string {
	said := ""
	if answer.Words != "" {
		said = fmt.Sprintf(" (%q)", answer.Words)
	}
	logIn := fmt.Sprintf("log in with `docker login %[1]s` or `podman login %[1]s`, or give a credentials file with --authfile", answer.Host)
	switch answer.Cause {
	case registry.CauseNoLogin:
		return fmt.Sprintf("no login is stored for %s: %s", answer.Repository, logIn)
	case registry.CauseRefused:
		if answer.Account == anonymous {
			return fmt.Sprintf("%s refuses whoever is not logged in%s: %s", answer.Host, said, logIn)
		}
		return fmt.Sprintf("%s refuses %s%s: `caib catalog login-check %s --push` shows what this login may do; %s", answer.Host, answer.Account, said, answer.Repository, logIn)
	case registry.CauseProxy:
		return "give the proxy's user and password in HTTPS_PROXY or HTTP_PROXY: http://USER:PASSWORD@PROXY"
	case registry.CauseClientCertificate:
		return fmt.Sprintf("put the client certificate (NAME.cert, NAME.key) into ~/.config/containers/certs.d/%[1]s or /etc/containers/certs.d/%[1]s", answer.Host)
	case registry.CauseCertificate:
		return authorityHint
	case registry.CausePlainHTTP:
		return "the registry speaks plain HTTP: --plain-http"
	case registry.CauseReadOnly:
		return fmt.Sprintf("%s takes no writes%s: write to the registry that it is a cache of, or wait until it does; `caib catalog login-check %s --push` asks again", answer.Host, said, answer.Repository)
	case registry.CausePath:
		return fmt.Sprintf("nothing can be written to %s%s: check its spelling, and whether its project or namespace exists; `caib catalog login-check %[1]s --push` asks again", answer.Repository, said)
	case registry.CauseHidden:
		return fmt.Sprintf("check the spelling of %[1]s, and whether a registry is there: `caib catalog login-check %[1]s`", answer.Repository)
	}
	if errors.Is(answer, entry.ErrMalformed) {
		return fmt.Sprintf("%s refuses what it was sent%s: it may not take artifacts of this kind or size; --verbose shows every request", answer.Host, said)
	}
	return ""
}

// ambiguousHint lists the references that name one image each.
func ambiguousHint(ambiguous *registry.Error) string {
	root := ambiguous.Layout
	references := make([]string, 0, len(ambiguous.Names))
	for _, name := range ambiguous.Names {
		switch {
		case name == "…":
			references = append(references, name)
		case strings.HasPrefix(name, "@"):
			references = append(references, "oci:"+root+name)
		default:
			references = append(references, "oci:"+root+":"+name)
		}
	}
	return "give the reference of one of them: " + strings.Join(references, ", ")
}

// layoutHint is the help for an error of a directory: no login and no second
// attempt helps there.
func layoutHint(err *registry.Error) string {
	switch {
	case errors.Is(err, entry.ErrUnauthorized):
		directory := commandLine([]string{err.Layout})
		if strings.HasPrefix(directory, "-") {
			directory = "./" + directory
		}
		return fmt.Sprintf("ask the owner of the files to let your group in: `chgrp -R GROUP %[1]s && chmod -R g+rwX %[1]s && chmod g+s %[1]s`", directory)
	case errors.Is(err, entry.ErrTimeout):
		return "somebody else is writing to the directory; try again, or give more time with --timeout"
	case errors.Is(err, entry.ErrMalformed):
		return malformedHint
	}
	return ""
}

// publishHint says what to do about an image that could not be published.
func publishHint(err error) error {
	var conflict *catalog.ConflictError
	switch {
	case errors.As(err, &conflict):
		if conflict.Image == "" {
			return withHint(err, "`caib catalog publish IMAGE --name NAME` gives it a new state, `caib catalog remove NAME` ends it")
		}
		return withHint(err, "publish it under that name, or give it this one with `caib catalog publish IMAGE --name NAME --move`")
	case unverified(err) != nil:
		return baseHint(err)
	case errors.Is(err, entry.ErrName):
		return withHint(err, "give the entry another name with --name")
	case errors.Is(err, entry.ErrTarget):
		return withHint(err, "name the target too: --target NAME, and --target-note NAME=TEXT for a note on it")
	case errors.Is(err, entry.ErrNotFound) && !isWrongPath(err):
		return withHint(err, "check the repository and the tag; an image is published after it was pushed")
	}
	return err
}

// unverified returns the refusal of a policy that does not verify what an entry says now;
// nil for any other error.
func unverified(err error) *trust.Error {
	var refusal *trust.Error
	if errors.As(err, &refusal) && refusal.Subject != trust.SubjectLatest && errors.Is(err, entry.ErrUntrusted) {
		return refusal
	}
	return nil
}

// baseHint says what to do about an entry of which no signed revision is made.
func baseHint(err error) error {
	refusal := unverified(err)
	if refusal == nil {
		return err
	}
	return withHint(err, "look at what it says with `caib catalog get NAME` and `caib catalog history NAME`; if it is right, `caib catalog sign NAME --if-revision %s` vouches for it; if not, publish the entry anew", refusal.Digest)
}

// isWrongPath reports whether a registry has no place for what was to be
// written.
func isWrongPath(err error) bool {
	var answer *registry.Error
	return errors.As(err, &answer) && answer.Cause == registry.CausePath
}

// namesHint says where to find the names, if a name is what was not found.
func namesHint(err error) error {
	if errors.Is(err, entry.ErrNotFound) && !errors.Is(err, entry.ErrUnreachable) && !isWrongPath(err) {
		return withHint(err, "`caib catalog list -o name` shows the names there are")
	}
	return err
}
