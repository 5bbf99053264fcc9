package catalog_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/referrertag"
)

// laggardCommand runs one command while the registry lags and returns what is wrong with
// what it said, given what is true afterwards; "" is nothing.
type laggardCommand func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string

// isTold checks that who was told "published" finds that, and its image kept.
func isTold(l *laggardWorld, result catalog.PublishResult, err error, image string) string {
	if err != nil || result.Outcome != catalog.Published && result.Outcome != catalog.Unchanged {
		return "" // nothing was promised
	}
	name := result.Item.Name
	live, ok := l.truth()[name]
	switch {
	case !ok:
		return fmt.Sprintf("%s is told to be %s, and is not live", name, result.Outcome)
	case live.Revision != result.Item.Revision:
		return fmt.Sprintf("%s is told to be %s as %s, and %s is live", name, result.Outcome, result.Item.Revision, live.Revision)
	case live.Digest != result.Item.Digest:
		return fmt.Sprintf("%s has the image %s, told was %s", name, live.Digest, result.Item.Digest)
	}
	if keep := result.Keep; keep != nil && (keep.Outcome == catalog.Kept || keep.Outcome == catalog.Skipped) {
		repository, _ := l.openImage(image)
		tag := referrertag.Keep(l.host+"/team/catalog", live.Digest)
		if found, err := repository.Resolve(l.t.Context(), tag); err != nil || found.Digest != live.Digest {
			return fmt.Sprintf("keeping is told to be %s, and the tag names %s, %v", keep.Outcome, found.Digest, err)
		}
	}
	return ""
}

// areTwins checks that the names of one image are found by who looks for them.
func areTwins(ctx context.Context, l *laggardWorld) string {
	l.registry.set(nil)
	heads, err := l.at(-time.Minute, false).Heads(ctx)
	if err != nil {
		return err.Error()
	}
	for _, head := range heads {
		if head.Twin != "" {
			return ""
		}
	}
	return "two names are told to have the image, and nobody finds them"
}

var laggardCommands = map[string]laggardCommand{
	"publish": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/new:1"
		result, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "new", Sign: l.sign})
		return isTold(l, result, err, image)
	},
	"publish the next version": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/new:1"
		result, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "app", Version: "3", Sign: l.sign})
		return isTold(l, result, err, image)
	},
	"publish the same": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/app:2"
		result, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "app", Version: "2", Sign: l.sign})
		return isTold(l, result, err, image)
	},
	"publish under two names": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/other:1"
		result, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "second", Sign: l.sign})
		if wrong := isTold(l, result, err, image); wrong != "" || err != nil {
			return wrong
		}
		return areTwins(ctx, l)
	},
	"publish at the same time": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/new:1"
		var results [2]catalog.PublishResult
		var errs [2]error
		var both sync.WaitGroup
		for i, c := range []*catalog.Catalog{c, l.at(0, false)} {
			both.Go(func() {
				results[i], errs[i] = c.Publish(ctx, image, catalog.PublishOptions{Name: fmt.Sprint("new-", i), Sign: l.sign})
			})
		}
		both.Wait()
		wrong := isTold(l, results[0], errs[0], image) + isTold(l, results[1], errs[1], image)
		if wrong != "" || errs[0] != nil || errs[1] != nil {
			return wrong
		}
		return areTwins(ctx, l)
	},
	"move": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/other:1"
		result, err := c.Publish(ctx, image, catalog.PublishOptions{Name: "second", Move: true, Sign: l.sign})
		if wrong := isTold(l, result, err, image); wrong != "" || err != nil {
			return wrong
		}
		if _, stays := l.truth()["other"]; stays && len(result.MovedFrom) > 0 {
			return "other is told to be ended, and is live"
		} else if stays {
			return areTwins(ctx, l)
		}
		return ""
	},
	"add": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		image := l.host + "/os/new:1"
		result, err := c.Add(ctx, "app", image, catalog.PublishOptions{Sign: l.sign})
		if wrong := isTold(l, result, err, image); wrong != "" || err != nil {
			return wrong
		}
		if len(l.warned.said)+len(result.Warnings) == 0 {
			return "app is told to be new, and was not"
		}
		return ""
	},
	"remove": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		if _, err := c.Remove(ctx, "app", catalog.RemoveOptions{Sign: l.sign}); err != nil {
			return ""
		}
		if _, stays := l.truth()["app"]; stays {
			return "app is told to be removed, and is live"
		}
		return ""
	},
	"history": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		events, err := c.History(ctx, "app")
		for _, event := range events {
			if l.sign != nil && event.Verdict != entry.VerdictVerified && event.Verdict != entry.VerdictUnknown && !l.registry.faults.referrers {
				return fmt.Sprintf("%s is %s, and it is verified", event.Tag, event.Verdict)
			}
		}
		if err == nil && len(events) < 2 && len(l.warned.said) == 0 {
			return fmt.Sprintf("it has %d events, and says nothing of the others", len(events))
		}
		return ""
	},
	"get --version": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		item, err := c.Get(ctx, "app", catalog.GetOptions{Version: "1"})
		switch {
		case err == nil && item.Version != "1":
			return fmt.Sprintf("it shows version %s", item.Version)
		case isKind(err, entry.ErrNotFound) && len(l.warned.said) == 0 && !l.registry.faults.blind:
			return "it says that there is no version 1"
		}
		return ""
	},
	"edit": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		result, err := c.Edit(ctx, "app", entry.Change{AddTags: []string{"qa"}}, catalog.EditOptions{Sign: l.sign})
		if wrong := isTold(l, result, err, ""); wrong != "" || err != nil {
			return wrong
		}
		if live := l.truth()["app"]; live.Version != "2" && len(l.warned.said) == 0 {
			return fmt.Sprintf("the edit puts version %s in front of 2, and says nothing", live.Version)
		}
		return ""
	},
	"list --versions": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		page, err := c.List(ctx, catalog.ListOptions{Query: entry.Query{Versions: true}})
		var found []string
		for _, item := range page.Items {
			found = append(found, item.Name+" "+item.Version)
		}
		if err == nil && len(found) < 3 && len(page.Refused) == 0 && len(l.warned.said) == 0 && !page.Absent {
			return fmt.Sprintf("it shows %q, and says nothing of the others", found)
		}
		return ""
	},
	"get IMAGE": func(ctx context.Context, l *laggardWorld, c *catalog.Catalog) string {
		found, err := c.GetImage(ctx, l.host+"/os/app:1")
		if err == nil && len(found.Items) == 0 && len(found.Refused) == 0 && len(found.Attached) == 0 && len(l.warned.said) == 0 {
			return "it finds nothing, and does not say what is hidden"
		}
		return ""
	},
}

var full = flag.Bool("full", false, "run all commands behind laggards with and without signatures and knowledge, not an eighth")

// A registry that lags and hides makes no command of several names and versions promise
// what is not so, or pass an older or shorter state off as all there is.
func TestCommandsBehindALaggard(t *testing.T) {
	all := lags()
	for i, fault := range slices.Sorted(maps.Keys(all)) {
		for j, command := range slices.Sorted(maps.Keys(laggardCommands)) {
			for way := range 4 {
				if !*full && way != (i+3*j)%8 { // half of the commands, each in another way
					continue
				}
				signed, warm := way/2 == 0, way%2 == 0
				t.Run(fmt.Sprintf("%s/%s/signed=%t/warm=%t", fault, command, signed, warm), func(t *testing.T) {
					t.Parallel()
					l := newLaggardWorld(t, signed)
					c := l.at(0, warm)
					l.registry.set(all[fault])
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // some of it never shows up
					defer cancel()
					if wrong := laggardCommands[command](ctx, l, c); wrong != "" {
						t.Errorf("%s; warned %q", wrong, strings.Join(l.warned.said, "; "))
					}
				})
			}
		}
	}
}
