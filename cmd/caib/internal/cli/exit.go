package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// The exit codes, as README lists them.
const (
	exitOK           = 0
	exitFailure      = 1
	exitInvalid      = 2
	exitUnauthorized = 3
	exitNotFound     = 4
	exitConflict     = 5
	exitTimeout      = 6
	exitUntrusted    = 7
	exitUnreachable  = 8
	exitMalformed    = 9
	exitInterrupted  = 130
)

var errInterrupted = errors.New("interrupted")

// exits is the one table from error kinds to exit codes. The first row whose
// kind an error wraps decides: an answer that nobody could give weighs more
// than what the others said.
var exits = []struct {
	code    int
	kind    error  // nil: any other error
	word    string // code of the error object of -o json
	meaning string
}{
	{exitOK, nil, "", "done, everything asked for holds"},
	{exitFailure, nil, "failure", "any other failure"},
	{exitInterrupted, errInterrupted, "interrupted", "interrupted"},
	{exitInvalid, entry.ErrInvalid, "invalid", "usage or configuration: unknown flag, bad value, invalid document"},
	{exitUnauthorized, entry.ErrUnauthorized, "unauthorized", "authentication or permission"},
	{exitUnreachable, entry.ErrUnreachable, "unreachable", "unreachable: a registry or server could not be asked, so nothing can be said"},
	{exitTimeout, entry.ErrTimeout, "timeout", "timed out"},
	{exitTimeout, context.DeadlineExceeded, "timeout", "timed out"},
	{exitMalformed, entry.ErrMalformed, "malformed", "malformed: what a registry holds there is no image, or makes no sense"},
	{exitUntrusted, entry.ErrUntrusted, "untrusted", "not trusted: unsigned, untrusted or invalid where a signature is required"},
	{exitConflict, entry.ErrConflict, "conflict", "conflict: it already exists, or another entry has this image"},
	{exitNotFound, entry.ErrNotFound, "not_found", "not found"},
}

// exitCode returns the code and word of an error.
func exitCode(err error) (code int, word string) {
	if err == nil {
		return exitOK, ""
	}
	for _, row := range exits {
		if row.kind != nil && errors.Is(err, row.kind) {
			return row.code, row.word
		}
	}
	return exitFailure, "failure"
}

// exitStatus is the section of a verb's help that lists its codes.
func exitStatus(codes ...int) string {
	codes = append([]int{exitOK, exitFailure, exitInvalid}, codes...)
	slices.Sort(codes)
	var b strings.Builder
	b.WriteString("Exit status:")
	for _, code := range slices.Compact(codes) {
		for _, row := range exits {
			if row.code == code {
				fmt.Fprintf(&b, "\n  %-4d %s", code, row.meaning)
				break
			}
		}
	}
	return b.String()
}

// hinted is an error with the command that helps.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

const loginHint = "`caib catalog login-check REF` shows which login is used; log in with `docker login HOST` or `podman login HOST`, or give a credentials file with --authfile"

// hint finds the help for an error: its own, or that of its kind.
func hint(err error) string {
	var told *partly
	if errors.As(err, &told) {
		return ""
	}
	var own hinted
	if errors.As(err, &own) {
		return own.hint
	}
	var missing *catalog.MissingError
	var clock *catalog.ClockError
	var lost *catalog.LostError
	var layout *registry.LayoutError
	if errors.As(err, &layout) {
		return layoutHint(layout)
	}
	text := err.Error()
	switch {
	case errors.As(err, &missing):
		return "a cache in front of the registry, or a rule that deletes tags, may hide them: ask the registry itself; if it was replaced, `caib catalog accept-loss --local --all` forgets what was seen"
	case errors.As(err, &lost):
		return "publish the entry again, or move on from what stands now with `caib catalog accept-loss NAME`; if the registry was replaced, add --local"
	case errors.As(err, &clock):
		return "set the clock of this machine, or the registry's"
	case strings.Contains(text, "the proxy ") && errors.Is(err, entry.ErrUnauthorized):
		return "give the proxy's user and password in HTTPS_PROXY or HTTP_PROXY: http://USER:PASSWORD@PROXY"
	case strings.Contains(text, "client certificate"):
		return "put the client certificate (NAME.cert, NAME.key) into ~/.config/containers/certs.d/HOST or /etc/containers/certs.d/HOST"
	case errors.Is(err, entry.ErrUnauthorized):
		return loginHint
	case strings.Contains(text, "does not look like a TLS handshake"):
		return "the registry speaks plain HTTP: --plain-http"
	case strings.Contains(text, "x509:"), strings.Contains(text, "certificate"):
		return "give the registry's certificate authority with --ca-file"
	case errors.Is(err, entry.ErrUnreachable), errors.Is(err, entry.ErrTimeout):
		return "nothing is known about what was asked; try again, with --verbose to see every request"
	case strings.HasPrefix(text, "invalid usage"):
		return "`caib catalog --help` lists the commands"
	}
	return ""
}

// layoutHint is the help for an error of a directory: no login and no second
// attempt helps there.
func layoutHint(err *registry.LayoutError) string {
	switch {
	case errors.Is(err, entry.ErrUnauthorized):
		return fmt.Sprintf("ask the owner of the files to let your group in: `chgrp -R GROUP %[1]s && chmod -R g+rwX %[1]s && chmod g+s %[1]s`", err.Root)
	case errors.Is(err, entry.ErrTimeout):
		return "somebody else is writing to the directory; try again, or give more time with --timeout"
	}
	return ""
}

// maxMessage bounds an error message, in bytes: it may quote what was given.
const maxMessage = 4 << 10

func message(err error) string {
	text := err.Error()
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// report tells how a run ended and returns its exit code.
func (a *app) report(err error) int {
	code, _ := exitCode(err)
	if err == nil {
		return code
	}
	if a.settings.output == "json" {
		text, _ := json.Marshal(map[string]any{"error": newProblem(err)}) // strings always marshal
		fmt.Fprintf(a.system.Err, "%s\n", text)
		return code
	}
	a.tell(err)
	return code
}

// problem is an error for programs.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func newProblem(err error) *problem {
	_, word := exitCode(err)
	return &problem{word, message(err), hint(err)}
}

// tell is an error for people.
func (a *app) tell(err error) {
	paint(a.system.Err, a.errColour(), red, "error: ")
	fmt.Fprintln(a.system.Err, message(err))
	if help := hint(err); help != "" {
		fmt.Fprintln(a.system.Err, "hint: "+help)
	}
}
