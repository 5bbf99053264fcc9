package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/ocilog"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// maxUnknown is how often one command asks about a revision of which nobody could say
// whether the policy verifies it.
const maxUnknown = 2

// counting finds out for one command of a writer which revisions count: those that the
// policy verifies. It is an ocilog.Counter that asks about each revision once, and
// looks at no more than maxStrangers that do not count: for the name that is written,
// and again for all others, so that what is appended to these hides nothing of that. It
// is not safe for concurrent use.
type counting struct {
	evaluator *evaluator
	name      string // that is written

	verdicts map[digest.Digest]entry.Verdict // of revisions that were asked about
	asked    map[digest.Digest]int           // how often, where the verdict is unknown
	own      bounds
	others   bounds
	unseen   map[digest.Digest]bool // revisions that were not looked at
}

// newCounting returns what a writer of a name counts by; nil, without a policy, counts
// all.
func (c *Catalog) newCounting(name string) *counting {
	if c.policy() == nil {
		return nil
	}
	return &counting{
		evaluator: c.newEvaluator(nil, zeroTime), name: name,
		verdicts: map[digest.Digest]entry.Verdict{}, asked: map[digest.Digest]int{}, unseen: map[digest.Digest]bool{},
	}
}

// counter is c for the log.
func (c *counting) counter() ocilog.Counter {
	if c == nil {
		return nil
	}
	return c
}

// done keeps what was found out, as that of an evaluator does.
func (c *counting) done(ctx context.Context) {
	if c != nil {
		c.evaluator.done(ctx)
	}
}

// counts reports whether a revision counts; a nil c counts all.
func (c *counting) counts(ctx context.Context, rev *revision.Revision) bool {
	return c == nil || c.Count(ctx, []*revision.Revision{rev})[0]
}

// verdict returns what was found out about a revision; "" for nothing.
func (c *counting) verdict(rev *revision.Revision) entry.Verdict { return c.verdicts[rev.Digest] }

// Never is that of ocilog.Counter.
func (c *counting) Never(name string) bool { return c.evaluator.rule(name).Name == "" }

// Known is that of ocilog.Counter.
func (c *counting) Known(ctx context.Context, revisions []*revision.Revision) []bool {
	known := make([]bool, len(revisions))
	for i, report := range c.evaluator.atHand(ctx, revisions) {
		known[i] = report.Verdict == entry.VerdictVerified
	}
	return known
}

// Count is that of ocilog.Counter.
func (c *counting) Count(ctx context.Context, revisions []*revision.Revision) []bool {
	var own, others []*revision.Revision
	for _, rev := range revisions {
		switch {
		case !c.isOpen(rev):
		case rev.Tag.Name == c.name:
			own = append(own, rev)
		default:
			others = append(others, rev)
		}
	}
	c.ask(ctx, &c.own, own)
	c.ask(ctx, &c.others, others)
	counts := make([]bool, len(revisions))
	for i, rev := range revisions {
		counts[i] = c.verdict(rev) == entry.VerdictVerified
	}
	return counts
}

// isOpen reports whether a revision is to be asked about.
func (c *counting) isOpen(rev *revision.Revision) bool {
	verdict, asked := c.verdicts[rev.Digest]
	return !asked || verdict == entry.VerdictUnknown && c.asked[rev.Digest] < maxUnknown
}

func (c *counting) ask(ctx context.Context, b *bounds, revisions []*revision.Revision) {
	if len(revisions) == 0 {
		return
	}
	reports, isLookedUp := c.evaluator.within(ctx, b, revisions)
	for i, rev := range revisions {
		c.verdicts[rev.Digest] = reports[i].Verdict
		if isLookedUp[i] {
			c.asked[rev.Digest]++
			delete(c.unseen, rev.Digest)
		} else {
			c.unseen[rev.Digest] = true
		}
	}
}

// strangers says in one sentence which of some revisions do not count, and why; "" for
// none. what is what they have in common.
func (c *counting) strangers(what string, revisions []*revision.Revision) string {
	if c == nil {
		return ""
	}
	var refused, unknown, unseen []string
	for _, rev := range revisions {
		switch verdict := c.verdicts[rev.Digest]; {
		case c.unseen[rev.Digest]:
			unseen = append(unseen, rev.Tag.Name)
		case verdict == entry.VerdictUnknown:
			unknown = append(unknown, rev.Tag.Name)
		case verdict != "" && verdict != entry.VerdictVerified:
			refused = append(refused, rev.Tag.Name)
		}
	}
	var said []string
	say := func(names []string, one, several string) {
		names = slices.Compact(slices.Sorted(slices.Values(names)))
		if len(names) == 1 {
			said = append(said, fmt.Sprintf(one, names[0]))
		} else if len(names) > 1 {
			said = append(said, fmt.Sprintf(several, len(names), what, someOf(names)))
		}
	}
	say(refused, "entry %q is not verified by the policy, and does not count", "%d entries %s are not verified by the policy, and do not count: %s")
	say(unknown, "whether the policy verifies entry %q could not be checked: it does not count", "of %d entries %s it could not be checked whether the policy verifies them, and they do not count: %s")
	say(unseen, "entry %q was not looked at, because too many others are not verified: it does not count", "%d entries %s were not looked at, because too many others are not verified, and do not count: %s")
	return strings.Join(said, "; ")
}

// unknown returns how many revisions were asked about, and are not known to count or
// not to.
func (c *counting) unknown() (count int) {
	if c == nil {
		return 0
	}
	for _, verdict := range c.verdicts {
		if verdict == entry.VerdictUnknown {
			count++
		}
	}
	return count
}

// countOf is a number of things as text.
func countOf(count int, thing string) string {
	if count == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", count, thing)
}

// someOf lists names, the first three where there are more.
func someOf(names []string) string {
	const most = 3
	listed := make([]string, 0, most+1)
	for _, name := range names[:min(most, len(names))] {
		listed = append(listed, fmt.Sprintf("%q", name))
	}
	text := strings.Join(listed, ", ")
	if len(names) > most {
		text += " …"
	}
	return text
}
