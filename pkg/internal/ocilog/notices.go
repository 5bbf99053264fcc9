package ocilog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// notices are what was noticed and did not change the result. The zero value is
// ready; they are safe for concurrent use.
type notices struct {
	mu      sync.Mutex
	errs    map[string]error // by what they are about: each once
	hidden  int              // revisions that the list leaves out
	dropped int              // claims that the registry does not bear out
	named   []string         // the first of them
}

func (n *notices) add(key string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.errs == nil {
		n.errs = map[string]error{}
	}
	n.errs[key] = err
}

func (n *notices) hide() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hidden++
}

func (n *notices) drop(tags ...revision.Tag) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dropped += len(tags)
	for _, tag := range tags[:min(len(tags), fewTags-len(n.named))] {
		n.named = append(n.named, tag.String())
	}
}

const (
	fewTags  = 3  // of one name that are told one by one
	fewNames = 20 // that are told of
)

// Warnings returns what was noticed so far and did not change the result: a
// snapshot that could not be read, tags that hold no revision or are dated too
// far ahead, a tag list that misses some, revisions that vanished.
func (v *View) Warnings() []error {
	all := v.noneWarnings()
	all = append(all, beyondWarnings(v.beyond)...)
	n := &v.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(n.errs)) {
		all = append(all, n.errs[key])
	}
	if n.hidden > 0 {
		all = append(all, fmt.Errorf("the registry's tag list is incomplete: it lacks %s that the registry has", plural(n.hidden, "revision")))
	}
	if n.dropped > 0 {
		which := ""
		if n.dropped <= fewTags {
			slices.Sort(n.named)
			which = " (" + strings.Join(n.named, ", ") + ")"
		}
		all = append(all, fmt.Errorf("a snapshot or the cache has %s of revisions%s that were deleted from the registry, or never in it", plural(n.dropped, "record"), which))
	}
	return all
}

// noneWarnings tells of tags that hold no revision: of a name that has many of
// them in one line.
func (v *View) noneWarnings() (all []error) {
	byName := map[string][]revision.Tag{}
	v.mu.Lock()
	defer v.mu.Unlock()
	for tag := range v.none {
		byName[tag.Name] = append(byName[tag.Name], tag)
	}
	names := slices.Sorted(maps.Keys(byName))
	for i, name := range names {
		tags := byName[name]
		if i == fewNames {
			more := 0
			for _, rest := range names[i:] {
				more += len(byName[rest])
			}
			return append(all, fmt.Errorf("ignored: no revision in %s of %s more", plural(more, "tag"), plural(len(names)-i, "name")))
		}
		slices.SortFunc(tags, revision.Tag.Compare)
		if len(tags) > fewTags {
			all = append(all, fmt.Errorf("ignored: %d tags of %s hold no revision; delete them, from %s to %s", len(tags), name, tags[0], tags[len(tags)-1]))
			continue
		}
		for _, tag := range tags {
			all = append(all, fmt.Errorf("ignored: %w", v.none[tag]))
		}
	}
	return all
}

// beyondWarnings tells of tags that are dated too far ahead.
func beyondWarnings(tags []revision.Tag) (all []error) {
	if len(tags) > fewTags {
		return []error{fmt.Errorf("ignored: %d tags are dated more than a day ahead; delete them, from %s to %s", len(tags), tags[0], tags[len(tags)-1])}
	}
	for _, tag := range tags {
		all = append(all, fmt.Errorf("ignored: tag %s is dated %s, more than a day ahead; delete it", tag, tag.Time()))
	}
	return all
}

// plural counts things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
