package ocilog

import (
	"bytes"
	"context"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/oci-catalog/caib/pkg/internal/revision"
)

// Signatures returns what is known here of a revision's signatures without
// asking the registry: from snapshots (with Options.Signatures), from the cache
// and from AddSignatures. They are JSON, prove nothing before they were
// checked, and none at all says nothing. Read-only.
func (l *Log) Signatures(tag revision.Tag) []jsontext.Value {
	f, _ := l.known.get(tag)
	return union(f.signatures, f.added)
}

// SnapshotSignatures returns those of them that a snapshot carries.
func (l *Log) SnapshotSignatures(tag revision.Tag) []jsontext.Value {
	f, _ := l.known.get(tag)
	return f.signatures
}

// AddSignatures records signatures that were made or found in the registry,
// for the next snapshot and, once Save has written them down, the next process.
// What is no JSON, or more than is kept of one revision, is left out.
func (l *Log) AddSignatures(ctx context.Context, tag revision.Tag, found ...[]byte) {
	l.AddAllSignatures(ctx, map[revision.Tag][][]byte{tag: found})
}

// AddAllSignatures is AddSignatures for many revisions at once.
func (l *Log) AddAllSignatures(ctx context.Context, found map[revision.Tag][][]byte) {
	l.restore(ctx)
	for tag, texts := range found {
		values := make([]jsontext.Value, 0, len(texts))
		for _, text := range texts {
			value := jsontext.Value(slices.Clone(text))
			if value.Compact() == nil {
				values = append(values, value)
			}
		}
		l.known.mu.Lock()
		more := l.add(tag, values)
		l.known.changed = l.known.changed || more
		l.known.mu.Unlock()
	}
}

// add keeps signatures that may be in no snapshot. The caller holds the lock.
func (l *Log) add(tag revision.Tag, found []jsontext.Value) bool {
	if len(found) == 0 {
		return false
	}
	f := l.known.of(tag)
	if len(f.added) == 0 && l.known.added >= maxAdded {
		return false
	}
	all := union(f.signatures, f.added)
	more := union(all, found)[len(all):]
	if len(more) == 0 {
		return false
	}
	if len(f.added) == 0 {
		l.known.added++
	}
	f.added = append(slices.Clip(f.added), more...)
	return true
}

// recordSignatures keeps those of a record of a snapshot.
func (l *Log) recordSignatures(tag revision.Tag, found []jsontext.Value) {
	if !l.options.Signatures || len(found) == 0 {
		return
	}
	l.known.mu.Lock()
	defer l.known.mu.Unlock()
	f := l.known.of(tag)
	all, more := union(f.signatures, found), 0
	for _, value := range all[len(f.signatures):] {
		more += len(value)
	}
	if l.known.carriedBytes+more <= maxCarriedBytes { // beyond, they are looked up
		f.signatures, l.known.carriedBytes = all, l.known.carriedBytes+more
	}
}

// withSignatures completes a record with the signatures that were added since
// it was written.
func (l *Log) withSignatures(n line) line {
	f, _ := l.known.get(n.tag)
	if len(f.added) == 0 {
		return n
	}
	r, err := n.record()
	if err != nil {
		return n
	}
	r.Signatures = union(r.Signatures, f.added)
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
		if slices.ContainsFunc(all, same) {
			continue
		}
		if len(all) == maxSignatures {
			break
		}
		if size+len(value) > maxSignatureBytes {
			continue // a smaller one may have room
		}
		size += len(value)
		all = append(all, value)
	}
	return all
}
