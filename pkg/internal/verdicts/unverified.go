package verdicts

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
	"github.com/oci-catalog/caib/pkg/trust"
)

// unverifiedFor is how long it is remembered that a revision was not verified: somebody
// may sign it.
const unverifiedFor = 10 * time.Minute

// maxUnverified bounds how many of these are remembered of one policy, and
// maxUnverifiedFile their file, in bytes.
const (
	maxUnverified     = 4096
	maxUnverifiedFile = 4 << 20
)

// unverified is a line of the file of what was not verified.
type unverified struct {
	Rule     string        `json:"rule"`
	Revision digest.Digest `json:"revision"`
	Report   trust.Report  `json:"report"`
	At       time.Time     `json:"at"`
}

type unverifiedKey struct {
	rule     string
	revision digest.Digest
}

// RecallUnverified returns the report on a revision if it was not verified a few minutes
// ago, under the same rule of the same policy. The reason says when that was.
func (m *Memory) RecallUnverified(rule trust.AppliedRule, revision digest.Digest, now time.Time) (trust.Report, bool) {
	if m == nil || rule.Name == "" {
		return trust.Report{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.unverifiedOf(rule).unverified[unverifiedKey{rule.Name, revision}]
	if !ok || !found.holds(now) {
		return trust.Report{}, false
	}
	found.Report.Reason += " (looked up at " + found.At.UTC().Format(time.RFC3339) + ")"
	return found.Report, true
}

// RememberUnverified adds the report on a revision, if it says that it is not verified:
// what is unknown is not.
func (m *Memory) RememberUnverified(rule trust.AppliedRule, revision digest.Digest, report trust.Report, now time.Time) {
	if m == nil || rule.Name == "" || report.Verdict == entry.VerdictVerified || report.Verdict == entry.VerdictUnknown {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.unverifiedOf(rule)
	if len(of.unverified) >= maxUnverified {
		maps.DeleteFunc(of.unverified, func(_ unverifiedKey, u unverified) bool { return !u.holds(now) })
	}
	if len(of.unverified) < maxUnverified {
		of.unverified[unverifiedKey{rule.Name, revision}] = unverified{rule.Name, revision, report, now}
		of.changed = true
	}
}

// unverifiedOf is of, and reads the file of what was not verified once, too. The caller
// holds the lock.
func (m *Memory) unverifiedOf(rule trust.AppliedRule) *remembered {
	of := m.of(rule)
	if of.unverified == nil {
		of.unverified = m.readUnverified(rule.PolicyHash)
	}
	return of
}

func (u unverified) holds(now time.Time) bool {
	age := now.Sub(u.At)
	return age >= 0 && age < unverifiedFor && u.Report.Verdict != entry.VerdictVerified && u.Report.Verdict != entry.VerdictUnknown
}

func (m *Memory) unverifiedPath(hash string) string {
	return filepath.Join(m.dir, hash+".unverified.jsonl")
}

// readUnverified reads what was not verified.
func (m *Memory) readUnverified(hash string) map[unverifiedKey]unverified {
	known := map[unverifiedKey]unverified{}
	if m.dir == "" {
		return known
	}
	file, err := os.Open(m.unverifiedPath(hash))
	if err != nil {
		return known
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxUnverifiedFile))
	if err != nil {
		return known
	}
	for l := range bytes.Lines(text) {
		var u unverified
		if json.Unmarshal(l, &u) == nil && len(known) < maxUnverified {
			known[unverifiedKey{u.Rule, u.Revision}] = u
		}
	}
	return known
}

// writeUnverified replaces the file of what was not verified: by the newest, as far as
// there is room. What another process writes at the same time may be lost.
func (m *Memory) writeUnverified(hash string, of *remembered) {
	all := make([]unverified, 0, len(of.unverified))
	newest := time.Time{}
	for _, u := range of.unverified {
		all = append(all, u)
		if newest.Before(u.At) {
			newest = u.At
		}
	}
	slices.SortFunc(all, func(a, b unverified) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Revision, b.Revision)) })
	var text []byte
	for _, u := range all {
		l, err := json.Marshal(u)
		if err == nil && u.holds(newest) && len(text)+len(l) < maxUnverifiedFile {
			text = append(append(text, l...), '\n')
		}
	}
	if os.MkdirAll(m.dir, 0o700) == nil {
		_ = atomicfile.Replace(m.unverifiedPath(hash), text, atomicfile.Options{NoSync: true})
	}
}
