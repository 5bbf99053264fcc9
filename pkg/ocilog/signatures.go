package ocilog

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oci-catalog/caib/pkg/entry"
)

// Bounds of what is kept of others' signatures.
const (
	maxSignatures     = 32        // of one revision
	maxSignatureBytes = 512 << 10 // of one revision, together
	maxAdded          = 8192      // revisions with signatures that no snapshot carries
)

// Signatures returns what is known here of a revision's signatures without
// asking the registry: from snapshots (with Options.Signatures), from the cache
// and from AddSignatures. They are JSON, prove nothing before they were
// checked, and none at all says nothing. Read-only.
func (l *Log) Signatures(tag entry.Tag) []jsontext.Value {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.signatures[tag]
}

// AddSignatures remembers signatures that were made or found in the registry,
// for the next process and the next snapshot. What is no JSON, or more than is
// kept of one revision, is left out.
func (l *Log) AddSignatures(tag entry.Tag, found ...[]byte) {
	l.AddAllSignatures(map[entry.Tag][][]byte{tag: found})
}

// AddAllSignatures is AddSignatures for many revisions at once.
func (l *Log) AddAllSignatures(found map[entry.Tag][][]byte) {
	l.restore()
	added := false
	for tag, texts := range found {
		values := make([]jsontext.Value, 0, len(texts))
		for _, text := range texts {
			value := jsontext.Value(slices.Clone(text))
			if value.Compact() == nil {
				values = append(values, value)
			}
		}
		l.mu.Lock()
		more := l.add(tag, values)
		l.dirty = l.dirty || more
		l.mu.Unlock()
		added = added || more
	}
	if added {
		l.save()
	}
}

// add keeps signatures that may be in no snapshot. The caller holds the lock.
func (l *Log) add(tag entry.Tag, found []jsontext.Value) bool {
	all := union(l.signatures[tag], found)
	if len(all) == len(l.signatures[tag]) || (!l.added[tag] && len(l.added) >= maxAdded) {
		return false
	}
	l.signatures[tag], l.added[tag] = all, true
	return true
}

// learnSignatures keeps those of a record of the newest snapshot.
func (l *Log) learnSignatures(tag entry.Tag, found []jsontext.Value) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.options.Signatures && len(found) > 0 {
		l.signatures[tag] = union(l.signatures[tag], found)
	}
}

// withSignatures completes a record with the signatures that were added since
// it was written.
func (l *Log) withSignatures(n line) line {
	l.mu.Lock()
	known, added := l.signatures[n.tag], l.added[n.tag]
	l.mu.Unlock()
	if !added {
		return n
	}
	r, err := n.record()
	if err != nil {
		return n
	}
	r.Signatures = union(r.Signatures, known)
	if complete, err := r.line(n.tag); err == nil {
		return complete
	}
	return n
}

// union adds what is new, within the bounds of one revision.
func union(have, found []jsontext.Value) []jsontext.Value {
	all := slices.Clip(have)
	size := 0
	for _, value := range have {
		size += len(value)
	}
	for _, value := range found {
		same := func(other jsontext.Value) bool { return bytes.Equal(other, value) }
		if size += len(value); size > maxSignatureBytes || len(all) == maxSignatures {
			break
		}
		if !slices.ContainsFunc(all, same) {
			all = append(all, value)
		}
	}
	return all
}
