package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
)

// defaultWait is how long --wait waits where it does not say.
const defaultWait = 10 * time.Minute

// waitFlag is how long to wait: a duration, or whether to wait at all.
type waitFlag struct{ value *time.Duration }

func (w waitFlag) String() string {
	if w.value == nil || *w.value == 0 {
		return ""
	}
	return w.value.String()
}

func (w waitFlag) Type() string { return "DURATION" }

func (w waitFlag) Set(text string) error {
	switch text {
	case "true":
		*w.value = defaultWait
		return nil
	case "false":
		*w.value = 0
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < 0 {
		return errors.New("want a duration such as 10m")
	}
	*w.value = parsed
	return nil
}

// imageWait is what a verb may wait for what is not there yet, all together.
type imageWait struct {
	app    *app
	until  time.Time // zero before any was missed
	noted  string    // what was told of last
	drawn  bool
	within time.Duration
}

// registerWait gives a verb the flag --wait; what it says is added to the time that
// the verb may take.
func (a *app) registerWait(flags *pflag.FlagSet, help string) {
	flags.Var(waitFlag{&a.wait}, "wait", help)
	flags.Lookup("wait").NoOptDefVal = defaultWait.String()
}

func (a *app) newWaiting() *imageWait { return &imageWait{app: a, within: a.wait} }

// options returns options to publish with that wait for as long as is left.
func (w *imageWait) options(options catalog.PublishOptions) catalog.PublishOptions {
	left := w.within
	if !w.until.IsZero() {
		left = w.until.Sub(w.app.system.Now()).Round(time.Millisecond)
	}
	if left > time.Minute {
		left = left.Round(time.Second)
	}
	if left > 0 {
		options.Wait, options.Waiting = left, w.show
	}
	return options
}

// show tells people what is waited for: on a terminal on one line, elsewhere once.
func (w *imageWait) show(reference string, since time.Duration) {
	if w.until.IsZero() {
		w.until = w.app.system.Now().Add(w.within - since)
	}
	s := &w.app.system
	switch {
	case w.app.settings.quiet:
	case s.ErrTerminal && !w.app.settings.verbose:
		w.drawn = true
		// Around the guard: the return to the line's beginning is ours.
		fmt.Fprint(raw(s.Err), "\r\x1b[K")
		fmt.Fprintf(s.Err, "waiting for %s (%s of %s)", oneLine.Replace(reference), since.Round(time.Second), w.within)
	case w.noted != reference:
		w.app.note("note: %s is not there yet: waiting for it, %s at most", reference, w.within)
	}
	w.noted = reference
}

// clear removes the line.
func (w *imageWait) clear() {
	if w.drawn {
		w.drawn = false
		fmt.Fprint(raw(w.app.system.Err), "\r\x1b[K")
	}
}

// misplacedWait is the error of a duration that stands beside --wait; nil if an
// argument is none.
func misplacedWait(command *cobra.Command, arg string) error {
	if _, err := time.ParseDuration(arg); err != nil || !command.Flags().Changed("wait") {
		return nil
	}
	return withHint(fmt.Errorf("unexpected argument %q", arg), "a duration stands behind an equals sign: --wait=%s", strings.TrimSpace(arg))
}
