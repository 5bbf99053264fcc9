package ocilog

import (
	"github.com/oci-catalog/caib/pkg/entry"
)

// The state of a log in the cache is one segment: a record of the newest
// snapshot's manifest, and one of every revision that it does not cover. It
// makes the next process's reading as cheap as this one's, and remembers what
// a tag list must still show. A record without a manifest holds signatures
// that the snapshot's own record lacks.

// restore takes what the cache knows of the log, once.
func (l *Log) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.restored {
		return
	}
	l.restored = true
	state, ok := l.options.Cache.state(l.id)
	if !ok {
		return
	}
	for n, err := range lines(state) {
		if err != nil {
			return
		}
		if r, err := n.record(); err == nil && n.tag.Op != entry.OpSnapshot {
			l.add(n.tag, r.Signatures)
		}
		o, err := n.open()
		if err != nil {
			continue
		}
		if n.tag.Op == entry.OpSnapshot {
			l.remembered, _ = parseSnapshot(n.tag, o.digest, o.manifest)
		} else if len(l.tail) < maxTail {
			l.tail[n.tag], l.genuine[n.tag] = o.manifest, genuine{digest: o.digest}
		}
	}
}

// save writes the state to the cache if it changed. It is best effort.
func (l *Log) save() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dirty || l.options.Cache == nil {
		return
	}
	l.dirty = false
	writer, err := newStateWriter()
	if err != nil {
		return
	}
	if l.snapshot != nil {
		n, err := newLine(l.snapshot.tag, l.snapshot.manifest)
		if err != nil || writer.add(n) != nil {
			return
		}
	}
	for tag, manifest := range l.tail {
		if n, err := newLine(tag, manifest, l.signatures[tag]...); err == nil && writer.add(n) != nil {
			return
		}
	}
	for tag := range l.added {
		if _, whole := l.tail[tag]; whole {
			continue
		}
		if n, err := newLine(tag, nil, l.signatures[tag]...); err == nil && writer.add(n) != nil {
			return
		}
	}
	if state, err := writer.finish(); err == nil {
		l.options.Cache.putState(l.id, state)
	}
}
