package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Streams are what a run of caib has of the world outside.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	// LookupEnv tells a variable that is empty from one that is not set; nil
	// takes what is empty for not set.
	LookupEnv func(string) (string, bool)
	Now       func() time.Time
	// InTerminal, OutTerminal and ErrTerminal tell whether a person is at the
	// other end of a stream.
	InTerminal, OutTerminal, ErrTerminal bool
	OutWidth                             int    // of that terminal, in characters; 0 is not known
	Author                               string // recorded as the publisher

	recheck   time.Duration // before a registry is believed that something is not there; 0 is the catalog's own
	spinAfter time.Duration // without a spinner; 0 is for ever
}

// System is the world of this process.
func System() Streams {
	terminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 0
	}
	return Streams{
		OutWidth: width, spinAfter: spinnerAfter,
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, LookupEnv: os.LookupEnv, Now: time.Now,
		InTerminal: terminal(os.Stdin), OutTerminal: terminal(os.Stdout), ErrTerminal: terminal(os.Stderr),
	}
}

func (s Streams) lookupEnv(name string) (string, bool) {
	if s.LookupEnv != nil {
		return s.LookupEnv(name)
	}
	value := s.Getenv(name)
	return value, value != ""
}

// clean puts the guard against control characters before both outputs.
func (s Streams) clean() Streams {
	s.Out, s.Err = &plainWriter{to: s.Out}, &plainWriter{to: s.Err}
	return s
}

// author is who publishes: the user and the host, as version control records
// them.
func (s Streams) author() string {
	if s.Author != "" {
		return s.Author
	}
	name := "unknown"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	return name
}

// plainWriter replaces every character that could steer a terminal: escape
// sequences in a registry's words stay words. Our own colours are written
// around it, never through it.
type plainWriter struct {
	to     io.Writer
	rest   []byte // an incomplete character at the end of the last write
	failed error  // the first write that did

	spinner *spinner // nil for none
}

func (w *plainWriter) Write(p []byte) (int, error) {
	defer w.spinner.pause()()
	if len(w.rest) == 0 && bytes.IndexFunc(p, mayControl) < 0 { // nearly always
		n, err := w.to.Write(p)
		w.failed = cmp.Or(w.failed, err)
		return n, err
	}
	text := append(w.rest, p...)
	w.rest = nil
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 && !utf8.FullRune(text) {
			w.rest = append([]byte(nil), text...)
			break
		}
		if controls(r) || (r == utf8.RuneError && size == 1) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.Write(text[:size])
		}
		text = text[size:]
	}
	if _, err := io.WriteString(w.to, b.String()); err != nil {
		w.failed = cmp.Or(w.failed, err)
		return 0, err
	}
	return len(p), nil
}

// mayControl tells what needs a closer look, broken UTF-8 included.
func mayControl(r rune) bool { return r == utf8.RuneError || controls(r) }

// printed reports output that did not arrive: what nobody could read was not
// done.
func (s Streams) printed() error {
	if w, ok := s.Out.(*plainWriter); ok && w.failed != nil {
		return fmt.Errorf("write to standard output: %w", w.failed)
	}
	return nil
}

// controls reports control characters, and those that reorder text, from the
// others. Line feed and tab are ours.
func controls(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0x061c, r >= 0x200b && r <= 0x200f,
		r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
		return true
	}
	return false
}

// raw returns the stream below the guard, for colours and for what draws by itself.
func raw(w io.Writer) io.Writer {
	if guarded, ok := w.(*plainWriter); ok {
		guarded.spinner.end()
		return guarded.to
	}
	return w
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

// paint writes text in a colour where colours are wanted.
func paint(w io.Writer, colour bool, code, text string) {
	if colour {
		fmt.Fprintf(raw(w), "\x1b[%sm", code)
		defer fmt.Fprint(raw(w), "\x1b[0m")
	}
	fmt.Fprint(w, text)
}

func (a *app) errColour() bool { return a.system.ErrTerminal && !a.settings.noColor }
func (a *app) outColour() bool { return a.system.OutTerminal && !a.settings.noColor }

// note tells a person what was done; --quiet silences it.
func (a *app) note(format string, args ...any) {
	if !a.settings.quiet {
		fmt.Fprintf(a.system.Err, format+"\n", args...)
	}
}

// done is a note with a tick: something was really done.
func (a *app) done(format string, args ...any) {
	if !a.settings.quiet {
		paint(a.system.Err, a.errColour(), green, "✓ ")
		a.note(format, args...)
	}
}

// warn tells what went less than well.
func (a *app) warn(text string) {
	if a.onWarning != nil {
		a.onWarning(text)
		return
	}
	if !a.settings.quiet {
		paint(a.system.Err, a.errColour(), yellow, "warning: ")
		a.note("%s", text)
	}
}

// confirm asks a yes-or-no question on a terminal.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	answer, err := a.ask(ctx, question+" [y/N]")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// ask returns what a person answers on a terminal; what cannot be read is "". One
// who interrupts it, or takes too long, has not answered: then the context's error
// is returned.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	_ = raw(a.system.Err) // no spinner is drawn over the question
	fmt.Fprintf(a.system.Err, "%s ", question)
	answered := make(chan string, 1)
	go func() { // ends with the process where nobody answers
		answer, _ := readLine(a.system.In)
		answered <- string(answer)
	}()
	select {
	case answer := <-answered:
		return strings.TrimSpace(answer), nil
	case <-ctx.Done():
		fmt.Fprintln(a.system.Err)
		return "", ctx.Err()
	}
}
