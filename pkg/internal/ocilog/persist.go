package ocilog

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
)

// Two places outlast a process. The cache has what makes the next reading cheap:
// one segment with the manifests of the snapshots, those of the revisions that
// no snapshot carries, and signatures that were added. The state has what must
// not be lost: the heads. Both are checked like a stranger's word, but for what
// only this reader can know.

// cached is a line of a log's cache.
type cached struct {
	Tag        string           `json:"tag"`
	Manifest   string           `json:"manifest,omitempty"`
	Signatures []jsontext.Value `json:"signatures,omitempty"`
	Mismatched int64            `json:"mismatched,omitempty"` // Unix milliseconds
}

// restore takes what the state and the cache know of the log, once.
func (l *Log) restore(ctx context.Context) {
	l.restoring.Do(func() {
		l.restoreCache(context.WithoutCancel(ctx))
		l.known.mu.Lock()
		defer l.known.mu.Unlock()
		kept := l.options.State.load(context.WithoutCancel(ctx), l.id)
		l.forgotten = kept.forgotten
		for tag, h := range kept.heads {
			l.saved[tag] = saved{h.Absent, h.Verified}
			if tag.Op == revision.OpSnapshot {
				if l.newest.Compare(tag) < 0 {
					l.newest = tag
				}
				continue
			}
			f := l.known.of(tag)
			if f.digest != "" && f.digest != h.Digest {
				l.known.drop(f) // the cache is of another day
				f.kind = unread
			}
			f.digest, f.seen, f.absent, f.verified, f.decoded = h.Digest, true, h.Absent, h.Verified, true
			l.add(tag, h.Signatures)
		}
		l.known.changed = false
	})
}

func (l *Log) restoreCache(ctx context.Context) {
	blob, ok := l.cache.read()
	if !ok {
		return
	}
	budget, end := newBudget(ctx)
	defer end()
	for text, err := range textLines(blob, budget) {
		var c cached
		if err != nil || json.Unmarshal(text, &c) != nil {
			return
		}
		tag, ok := revision.ParseTag(c.Tag)
		if !ok {
			continue
		}
		sum := digest.FromString(c.Manifest)
		valid := c.Manifest != "" && tag.Names(sum)
		switch {
		case tag.Op == revision.OpSnapshot:
			if s, err := parseSnapshot(tag, sum, []byte(c.Manifest)); valid && err == nil {
				l.snapshots = append(l.snapshots, s)
			}
			continue
		case valid && l.known.cacheManifest(tag, sum, []byte(c.Manifest)):
			l.known.mu.Lock()
			l.known.of(tag).seen = true // they were fetched by their tags
			l.known.mu.Unlock()
		case c.Mismatched > 0:
			l.known.mu.Lock()
			l.known.of(tag).mismatched = time.UnixMilli(c.Mismatched)
			l.known.mu.Unlock()
		}
		l.known.mu.Lock()
		l.add(tag, c.Signatures)
		l.known.mu.Unlock()
	}
}

// Save writes what is new to the state and the cache. A cache that cannot be
// written is none; the error says that the next process will not know what this
// one saw.
func (l *Log) Save(ctx context.Context) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.saveCache()
	heads := l.unsaved()
	if err := l.options.State.add(context.WithoutCancel(ctx), l.id, heads); err != nil {
		return err
	}
	for _, h := range heads {
		tag, _ := revision.ParseTag(h.Tag)
		l.saved[tag] = saved{h.Absent, h.Verified}
	}
	return nil
}

// saved is what the state has of a head.
type saved struct{ absent, verified bool }

// unsaved returns the heads that the state does not have like this. The caller
// holds the lock on saving.
func (l *Log) unsaved() []head {
	if l.options.State == nil {
		return nil
	}
	var heads []head
	horizon := l.horizon()
	l.known.mu.Lock()
	current := l.known.heads(horizon, func(f *fact) bool { return f.decoded })
	for tag, f := range l.known.facts {
		if !f.seen || f.digest == "" || !f.absent && !f.verified && current[tag.Name] != tag {
			continue
		}
		if was, ok := l.saved[tag]; !ok || was != (saved{f.absent, f.verified}) {
			if !ok && !f.absent && current[tag.Name] != tag {
				continue // a verified one of the past
			}
			heads = append(heads, head{Tag: tag.String(), Digest: f.digest, Absent: f.absent, Verified: f.verified})
		}
	}
	newest := l.newest
	l.known.mu.Unlock()
	for i := range heads {
		if heads[i].Absent {
			l.addEvidence(&heads[i])
		}
	}
	if _, ok := l.saved[newest]; !ok && newest != (revision.Tag{}) {
		heads = append(heads, head{Tag: newest.String()})
	}
	slices.SortFunc(heads, func(a, b head) int { return strings.Compare(a.Tag, b.Tag) })
	return heads
}

// addEvidence keeps with an absent head what proves it, as far as it is at hand:
// nobody else may have it any more.
func (l *Log) addEvidence(h *head) {
	tag, _ := revision.ParseTag(h.Tag)
	size := 0
	for _, value := range l.Signatures(tag) {
		if size += len(value); size > maxEvidence {
			break
		}
		h.Signatures = append(h.Signatures, value)
	}
}

func (l *Log) saveCache() {
	if l.cache == (cacheFile{}) {
		return
	}
	lines := l.cacheLines()
	if lines == nil {
		return
	}
	writer, err := newStateWriter()
	if err != nil {
		return
	}
	for _, c := range lines {
		text, err := json.Marshal(c)
		if err != nil {
			continue // no text: no record can hold it either
		}
		if writer.add(text) != nil {
			return
		}
	}
	if blob, err := writer.finish(); err == nil {
		l.cache.write(blob)
	}
}

// cacheLines returns what the cache is to hold, or nil if it holds that.
func (l *Log) cacheLines() []cached {
	horizon := l.horizon()
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if !l.known.changed {
		return nil
	}
	l.known.changed = false
	lines := []cached{}
	for _, s := range l.snapshots {
		lines = append(lines, cached{Tag: s.tag.String(), Manifest: string(s.manifest)})
	}
	heads := l.known.heads(horizon, func(f *fact) bool { return f.decoded })
	for tag, f := range l.known.facts {
		c := cached{Tag: tag.String(), Signatures: f.added}
		switch {
		case f.absent && (l.options.State == nil || f.manifest == nil || heads[tag.Name].Compare(tag) > 0):
			continue // of the state; of a head that is lost, this may be the last copy
		case f.manifest != nil:
			c.Manifest = string(f.manifest)
		case !f.mismatched.IsZero():
			c.Mismatched = f.mismatched.UnixMilli()
		case len(f.added) == 0:
			continue
		}
		lines = append(lines, c)
	}
	return lines
}

// Forget drops what is known of a name, or of all names for "", in memory and in
// the state: a registry was replaced, or set back by those who run it. What the
// registry shows from now on is believed, and what a snapshot says of the time
// before is no loss.
func (l *Log) Forget(ctx context.Context, name string) error {
	l.restore(ctx)
	l.saving.Lock()
	defer l.saving.Unlock()
	until := l.options.Now().UnixMilli()
	l.known.mu.Lock()
	for tag, f := range l.known.facts {
		if f.seen && (name == "" || tag.Name == name) {
			until = max(until, tag.Millis)
		}
	}
	l.known.mu.Unlock()
	if err := l.options.State.add(context.WithoutCancel(ctx), l.id, []head{{Forget: &name, Until: until}}); err != nil {
		return err
	}
	defer l.saveCache()
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	if l.forgotten == nil {
		l.forgotten = map[string]int64{}
	}
	l.forgotten[name] = until
	for tag, f := range l.known.facts {
		if name == "" || tag.Name == name {
			l.known.drop(f)
			if len(f.added) > 0 {
				l.known.added--
			}
			delete(l.known.facts, tag)
			delete(l.saved, tag)
		}
	}
	if name == "" {
		l.snapshots, l.newest, l.saved = nil, revision.Tag{}, map[revision.Tag]saved{}
		l.known.segments = map[digest.Digest]*segment{}
	}
	l.known.changed = true
	return nil
}
