package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
)

// watchVerb ends when it is told to.
const watchVerb = "watch"

const (
	minWatchInterval = time.Second
	lookWithin       = 30 * time.Second // for one look at a catalog, without --timeout
	maxWatchRetries  = 100
)

type watchOptions struct {
	*app
	trustFlags
	command  string
	state    string
	all      bool
	once     bool
	interval time.Duration
	retries  int
}

const watchHelp = `Print what happens in a catalog (CATALOG, --catalog or --server) from now on:
one event a line, as JSON, in the words of history. An event is a publication or
a removal that decides its name from now on; of a name that had several since
the last look, the last is told. --all begins with what decides each name now.
What is taken away later, or dated before what was told, is no event. Under a
trust policy only what that lets through is told: a revision whose signatures do
not hold moves nothing, and one that is signed later is told then. A server's
own policy decides about what it tells.

With --exec, CMD is run by sh for each event, one at a time, in the order of the
log, with the event on its standard input; nothing else of the event is on its
command line. A CMD that fails is run again, --retries times, after 1, 2, 4
seconds and so on, at most a minute; then watch ends with exit 1, for whoever
started it to see.

With --state, FILE records what was handled: printed, or seen through by CMD. A
watch with the same FILE goes on after that, so each event is handled at least
once, whatever was killed in between, and rarely twice: CMD should not mind.
FILE is made by the first watch, and is for one watch at a time. --once handles
what there is and ends, for timers and jobs.

A catalog that cannot be read at the start ends the watch; later it is read
again, with a warning. --timeout bounds each look, and not the watch.
Interrupted, it exits with 130, after CMD ended or 10 seconds; what is not
recorded comes again.`

func newWatch(a *app) *cobra.Command {
	o := &watchOptions{app: a}
	command := &cobra.Command{
		Use:        watchVerb + " [CATALOG]",
		SuggestFor: []string{"follow", "tail", "events", "changes", "subscribe"},
		Short:      "Tell what is published and removed, as it happens",
		Long:       watchHelp,
		Example: `  caib catalog watch registry.example.com/automotive/catalog
  caib catalog watch --state /var/lib/deploy/state.json --exec ./deploy.sh
  caib catalog watch --policy policy.yaml --state state.json --once
  caib catalog watch --server https://caib.example.com --exec "jq -r .name"`,
		Args: arguments("[CATALOG]"),
	}
	o.register(command.Flags())
	return a.verb(command, []int{exitUnauthorized, exitUnreachable, exitMalformed}, o.run)
}

func (o *watchOptions) register(flags *pflag.FlagSet) {
	flags.StringVar(&o.command, "exec", "", "a command for sh that is run for each event, with the event on its standard input")
	flags.StringVar(&o.state, "state", "", "a file that records what was handled, to go on after it")
	flags.BoolVar(&o.all, "all", false, "without a state: begin with what decides each name now")
	flags.BoolVar(&o.once, "once", false, "look once, handle what there is, and end")
	flags.DurationVar(&o.interval, "interval", 15*time.Second, "between two looks")
	flags.IntVar(&o.retries, "retries", 4, "how often a CMD that fails is run again before the watch ends")
	o.trustFlags.register(flags)
}

// watched is one catalog, and what is known of it.
type watched struct {
	reference string
	label     string // that its events are marked with; "" is none
	moved     func(ctx context.Context, known map[string]string) ([]entry.Event, error)
	state     func(known map[string]string) string // of the server; nil is none
	known     map[string]string
	begun     bool // known is what was told, and not nothing
}

func (o *watchOptions) run(ctx context.Context, args []string) error {
	if err := o.check(args); err != nil {
		return err
	}
	file, err := openWatchFile(o.state)
	if err != nil {
		return err
	}
	all, err := o.open(ctx, file)
	if err != nil {
		return err
	}
	if err := o.look(ctx, all, file); err != nil || o.once {
		return err
	}
	away := false
	for {
		select { // at times that no two watches share
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.interval - o.interval/10 + rand.N(o.interval/5+1)):
		}
		err := o.look(ctx, all, file)
		var ends *handlingError
		switch {
		case ctx.Err() != nil || errors.As(err, &ends):
			return err
		case err != nil && !away:
			o.warn(fmt.Sprintf("%s: looking again every %s", message(err), o.interval))
		case err == nil && away:
			o.note("the catalog can be read again")
		}
		away = err != nil
	}
}

func (o *watchOptions) check(args []string) error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{entry.ErrInvalid}, args...)...)
	}
	server := o.settings.server
	switch {
	case o.interval < minWatchInterval:
		return invalid("--interval %s: want at least %s", o.interval, minWatchInterval)
	case o.retries < 0 || o.retries > maxWatchRetries:
		return invalid("--retries %d: want 0 to %d", o.retries, maxWatchRetries)
	case server != "" && len(args) > 0:
		return withHint(invalid("CATALOG %s: not through the server %s: what it serves is watched", args[0], server),
			"leave it out, or ask the registry itself: give no --server")
	case server != "" && o.verified:
		return withHint(invalid("--verified: not through the server %s: its own policy decides what it tells", server),
			"ask the registry itself: give --catalog and a policy or --key, and no --server; or start the server with `caib catalog serve --policy FILE`")
	}
	if len(args) > 0 {
		o.settings.catalogs, o.settings.origins["catalog"] = args, origin{kind: "flag", place: "CATALOG", label: "CATALOG"}
	}
	return nil
}

// open opens what is watched, to go on where file says.
func (o *watchOptions) open(ctx context.Context, file *watchFile) ([]*watched, error) {
	readers, err := o.openVerified(ctx, &o.trustFlags)
	if err != nil {
		return nil, err
	}
	if r, ok := readers[0].(*remote); ok {
		ctx, cancel := o.within(ctx)
		defer cancel()
		if readers, err = r.catalogs(ctx); err != nil {
			return nil, err
		}
	}
	var all []*watched
	for _, r := range readers {
		w := &watched{reference: r.Reference()}
		if len(readers) > 1 {
			w.label = w.reference
		}
		kept, begun := file.Catalogs[w.reference]
		if w.known, w.begun = kept.Known, begun || o.all; w.known == nil {
			w.known = map[string]string{}
		}
		switch r := r.(type) {
		case *catalog.Catalog:
			w.moved = r.Follow().Moved
		case *remote:
			f := r.Client.Follow(kept.State)
			w.moved, w.state = f.Moved, f.State
		}
		all = append(all, w)
	}
	return all, nil
}

// within bounds one look.
func (o *watchOptions) within(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := lookWithin
	if o.settings.timeout > 0 {
		limit = o.settings.timeout
	}
	return context.WithTimeout(ctx, limit)
}

// news is an event of one of the catalogs.
type news struct {
	entry.Event
	of *watched
}

// look looks at each catalog once, and handles what moved. What is first seen of a
// catalog is where its watch begins.
func (o *watchOptions) look(ctx context.Context, all []*watched, file *watchFile) error {
	var failed error
	var happened []news
	for _, w := range all {
		looking, cancel := o.within(ctx)
		events, err := w.moved(looking, w.known)
		cancel()
		if err != nil {
			failed = errors.Join(failed, trustHint(err))
			continue
		}
		for _, event := range events {
			if !w.begun {
				w.known[event.Name] = event.Tag
				continue
			}
			if w.label != "" {
				event.Catalog = w.label
			}
			happened = append(happened, news{event, w})
		}
		w.begun = true
	}
	slices.SortStableFunc(happened, func(a, b news) int { return a.At.Compare(b.At.Time) })
	if err := file.save(all); err != nil {
		return &handlingError{err}
	}
	if err := o.handleAll(ctx, happened, all, file); err != nil {
		return err
	}
	return failed
}
