package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/oci-catalog/caib/pkg/entry"
)

// The exit codes.
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

// exit is one row of the table of exit codes.
type exit struct {
	code    int
	word    string // code of the error object of -o json: that of the error's kind
	meaning string
}

// exits is the one table from error kinds to exit codes.
var exits = []exit{
	{exitOK, "", "done, everything asked for holds"},
	{exitFailure, "failure", "any other failure"},
	{exitInterrupted, "interrupted", "interrupted"},
	{exitInvalid, "invalid", "usage or configuration: unknown flag, bad value, invalid document"},
	{exitUnauthorized, "unauthorized", "authentication or permission"},
	{exitUnreachable, "unreachable", "unreachable: a registry or server could not be asked, or known parts of the catalog are missing from its answer, so nothing can be said"},
	{exitTimeout, "timeout", "timed out"},
	{exitMalformed, "malformed", "malformed: what a registry holds there is no image, or makes no sense"},
	{exitUntrusted, "untrusted", "not trusted: unsigned, untrusted or invalid where a signature is required"},
	{exitConflict, "conflict", "conflict: it already exists, or another entry has this image"},
	{exitNotFound, "not_found", "not found"},
}

// exitCode returns the code and word of an error.
func exitCode(err error) (code int, word string) {
	if err == nil {
		return exitOK, ""
	}
	word = entry.Code(err)
	switch {
	case errors.Is(err, errInterrupted):
		word = "interrupted"
	case word == "":
		word = "failure"
	}
	for _, row := range exits {
		if row.word == word {
			code = row.code
		}
	}
	return code, word
}

// exitStatus is the section of a verb's help that lists its codes.
func exitStatus(codes ...int) string {
	codes = append([]int{exitOK, exitFailure, exitInvalid}, codes...)
	return "Exit status:\n" + strings.TrimRight(exitTable(codes...), "\n")
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
	a.printError(err)
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

// printError prints an error for people.
func (a *app) printError(err error) {
	paint(a.system.Err, a.errColour(), red, "error: ")
	fmt.Fprintln(a.system.Err, message(err))
	if help := hint(err); help != "" {
		fmt.Fprintln(a.system.Err, "hint: "+help)
	}
}
