package ocilog

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofrs/flock"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
	"github.com/oci-catalog/caib/pkg/internal/revision"
	"github.com/opencontainers/go-digest"
)

// State is a directory that keeps which heads a reader has seen in each log, so
// that the next process notices what is taken away (SPEC section 10). Unlike a
// Cache it cannot be made anew: nothing in it is evicted, and it is bounded by
// the names that the reader has seen. Any number of processes may share it. The
// nil State keeps nothing.
type State struct{ dir string }

// NewState makes a state in dir, which need not exist. Whoever can write there
// can make a reader forget: it is a directory of the user alone.
func NewState(dir string) *State { return &State{dir} }

const (
	maxState     = 1 << 30 // bytes of a file that is read
	maxStateLine = 16 << 20
	lockFor      = 2 * time.Second
	maxAbsent    = 64       // absent heads of one name
	maxEvidence  = 64 << 10 // bytes of signatures of one head
)

// head is a line of a log's file: a head as it was seen then. Later lines
// replace earlier ones of the same tag; a line that forgets ends those before.
type head struct {
	Tag        string           `json:"tag,omitempty"` // of a revision, or of the newest snapshot
	Digest     digest.Digest    `json:"digest,omitempty"`
	Absent     bool             `json:"absent,omitempty"`
	Verified   bool             `json:"verified,omitempty"`
	Signatures []jsontext.Value `json:"signatures,omitempty"` // of an absent one, where they were at hand
	Forget     *string          `json:"forget,omitzero"`      // a name; "" is all of them
	Until      int64            `json:"until,omitempty"`      // of Forget: Unix milliseconds
}

func (s *State) path(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(s.dir, "heads", hex.EncodeToString(sum[:])+".jsonl")
}

// stored is what the state has of a log.
type stored struct {
	heads     map[revision.Tag]head
	forgotten map[string]int64 // by name, "" for all: until when, in Unix milliseconds
	lines     int
	partly    bool // it could not be read to its end
}

// load returns what is kept of a log, and makes the file smaller where most of
// it is out of date. What cannot be read is as if it were not there: a line that
// was cut off by a crash, most likely.
func (s *State) load(ctx context.Context, id string) stored {
	if s == nil {
		return stored{}
	}
	k := s.read(id)
	if !k.partly && k.lines > 2*len(k.heads)+len(k.forgotten)+256 {
		_ = s.locked(ctx, id, func() error {
			if k = s.read(id); k.partly {
				return nil
			}
			return s.rewrite(id, k)
		})
	}
	return k
}

func (s *State) read(id string) stored {
	k := stored{heads: map[revision.Tag]head{}, forgotten: map[string]int64{}}
	file, err := os.Open(s.path(id))
	if err != nil {
		return k
	}
	defer file.Close()
	scanner := bufio.NewScanner(io.LimitReader(file, maxState))
	scanner.Buffer(nil, maxStateLine)
	for ; scanner.Scan(); k.lines++ {
		var h head
		if json.Unmarshal(scanner.Bytes(), &h) != nil {
			continue
		}
		if h.Forget != nil {
			name := *h.Forget
			maps.DeleteFunc(k.heads, func(tag revision.Tag, _ head) bool { return name == "" || tag.Name == name })
			k.forgotten[name] = max(k.forgotten[name], h.Until)
			continue
		}
		if tag, ok := revision.ParseTag(h.Tag); ok && (tag.Op == revision.OpSnapshot || tag.Names(h.Digest)) {
			h.Verified = h.Verified || k.heads[tag].Verified
			k.heads[tag] = h
		}
	}
	k.heads, k.partly = current(k.heads), scanner.Err() != nil
	return k
}

// current drops what later heads have made of no account. Of each name stay the
// latest that was there, the latest that was verified, and those that are absent:
// what an unsigned head followed is still known once that head is absent.
func current(all map[revision.Tag]head) map[revision.Tag]head {
	byName := map[string][]revision.Tag{}
	for tag := range all {
		byName[tag.Name] = append(byName[tag.Name], tag)
	}
	kept := make(map[revision.Tag]head, len(byName))
	for _, tags := range byName {
		slices.SortFunc(tags, func(a, b revision.Tag) int { return b.Compare(a) })
		var seen, verified bool
		absent := 0
		for _, tag := range tags {
			h := all[tag]
			retain := h.Absent && absent < maxAbsent || !h.Absent && !seen || h.Verified && !verified
			seen, verified = seen || !h.Absent, verified || h.Verified
			if h.Absent {
				absent++
			}
			if retain {
				kept[tag] = h
			}
		}
	}
	return kept
}

// add appends heads to what is kept of a log.
func (s *State) add(ctx context.Context, id string, heads []head) error {
	if s == nil || len(heads) == 0 {
		return nil
	}
	var text bytes.Buffer
	for _, h := range heads {
		line, err := json.Marshal(h)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	err := s.locked(ctx, id, func() error { return s.append(id, text.Bytes()) })
	if err != nil {
		return fmt.Errorf("what was seen of the catalog could not be written down: %w", err)
	}
	return nil
}

func (s *State) append(id string, text []byte) error {
	file, err := os.OpenFile(s.path(id), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	// A line that a crash cut off must not take the next one with it.
	last := make([]byte, 1)
	if info, err := file.Stat(); err == nil && info.Size() > 0 {
		if _, err := file.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			text = append([]byte{'\n'}, text...)
		}
	}
	_, err = file.Write(text)
	return cmp.Or(err, file.Sync(), file.Close())
}

func (s *State) rewrite(id string, k stored) error {
	lines := slices.Collect(maps.Values(k.heads))
	for name, until := range k.forgotten {
		lines = append(lines, head{Forget: &name, Until: until})
	}
	slices.Reverse(lines) // what forgets comes first
	return atomicfile.ReplaceBy(s.path(id), atomicfile.Options{}, func(to io.Writer) error {
		for _, h := range lines {
			line, err := json.Marshal(h)
			if err != nil {
				return err
			}
			if _, err := to.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// locked runs step while no other process changes what is kept of a log.
func (s *State) locked(ctx context.Context, id string, step func() error) error {
	if err := os.MkdirAll(filepath.Dir(s.path(id)), 0o700); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, lockFor)
	defer cancel()
	lock := flock.New(s.path(id)+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(within, 5*time.Millisecond); err != nil {
		return err
	}
	defer lock.Close()
	return step()
}
