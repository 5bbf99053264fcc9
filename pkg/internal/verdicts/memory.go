// Package verdicts remembers what was verified from one process to the next, so
// that it need not be verified again.
//
//	memory := verdicts.NewMemory(dir)
//	if check, ok := memory.Recall(rule, trust.SubjectEntry, digest); ok { … }
//	memory.Remember(rule, rule.Check(trust.SubjectEntry, digest, evidence))
//	memory.Save()
package verdicts

import (
	"bufio"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/atomicfile"
	"github.com/oci-catalog/caib/pkg/trust"
)

// maxFile bounds what is remembered of one policy, in bytes.
const maxFile = 32 << 20

// Memory remembers what was verified, in a directory of files, two a policy:
// what one policy verified says nothing under another, so the files are named by
// the policy's hash, and a line by the rule that applied. What is verified is
// remembered for good; that something is not, because that can change, for a few
// minutes and for those who ask for it, in the second file. Any number of processes
// may share the directory; a fault is a miss, never an error. The nil Memory
// remembers nothing. It is safe for concurrent use.
type Memory struct {
	dir string

	mu       sync.Mutex
	policies map[string]*remembered // by hash
}

// remembered is what is known of one policy.
type remembered struct {
	known   map[key]trust.Check
	unsaved []key // of known: what is not in the file

	unverified map[unverifiedKey]unverified // nil until it is asked for
	changed    bool                         // unverified is not what is in its file
}

type key struct {
	rule    string
	subject trust.Subject
	digest  digest.Digest
}

// line is a line of a file.
type line struct {
	Rule  string      `json:"rule"`
	Check trust.Check `json:"check"`
}

// NewMemory makes a memory in dir, which need not exist; "" remembers for this
// process only. Whoever can write there can make things look verified: it is a
// directory of the user alone.
func NewMemory(dir string) *Memory {
	return &Memory{dir: dir, policies: map[string]*remembered{}}
}

// Recall returns the check of a digest if it was verified before under the same
// rule of the same policy.
func (m *Memory) Recall(rule trust.AppliedRule, subject trust.Subject, d digest.Digest) (trust.Check, bool) {
	if m == nil || rule.Name == "" {
		return trust.Check{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	check, ok := m.of(rule).known[key{rule.Name, subject, d}]
	return check, ok
}

// Remember adds a check, if it is of something verified.
func (m *Memory) Remember(rule trust.AppliedRule, check trust.Check) {
	if m == nil || rule.Name == "" || check.Result != entry.VerdictVerified {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of(rule)
	k := key{rule.Name, check.Subject, check.Digest}
	if _, ok := of.known[k]; !ok {
		of.unsaved = append(of.unsaved, k)
	}
	of.known[k] = check
}

// of returns what is known of a rule's policy, and reads the file of what was verified
// once. The caller holds the lock.
func (m *Memory) of(rule trust.AppliedRule) *remembered {
	hash := rule.PolicyHash
	of := m.policies[hash]
	if of == nil {
		of = &remembered{known: m.read(hash)}
		m.policies[hash] = of
	}
	return of
}

func (m *Memory) read(hash string) map[key]trust.Check {
	known := map[key]trust.Check{}
	if m.dir == "" {
		return known
	}
	file, err := os.Open(m.path(hash))
	if err != nil {
		return known
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxFile))
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Check.Result == entry.VerdictVerified && l.Check.Digest.Validate() == nil {
			known[key{l.Rule, l.Check.Subject, l.Check.Digest}] = l.Check
		}
	}
	return known
}

func (m *Memory) path(hash string) string { return filepath.Join(m.dir, hash+".jsonl") }

// Save adds what is new to the files, in one write each, so that no process loses
// what another one adds. A file that has grown too long is replaced. It is best
// effort.
func (m *Memory) Save() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for hash, of := range m.policies {
		if len(of.unsaved) > 0 && m.dir != "" {
			m.write(hash, of)
			of.unsaved = nil
		}
		if of.changed && m.dir != "" {
			m.writeUnverified(hash, of)
			of.changed = false
		}
	}
}

func (m *Memory) write(hash string, of *remembered) {
	text := encode(of.known, of.unsaved)
	if os.MkdirAll(m.dir, 0o700) != nil {
		return
	}
	if info, err := os.Stat(m.path(hash)); err == nil && info.Size()+int64(len(text)) > maxFile {
		// Anew, with no line twice.
		_ = atomicfile.Replace(m.path(hash), encode(of.known, slices.Collect(maps.Keys(of.known))), atomicfile.Options{NoSync: true})
		return
	}
	file, err := os.OpenFile(m.path(hash), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = file.Write(text) // a line that is cut short is skipped
	_ = file.Close()
}

// encode makes lines of what is known under some keys, with an empty one before
// them: so that a line which was cut off spoils no other.
func encode(known map[key]trust.Check, keys []key) []byte {
	text := []byte{'\n'}
	for _, k := range keys {
		l, err := json.Marshal(line{k.rule, known[k]})
		if err == nil && len(text)+len(l) < maxFile/2 {
			text = append(append(text, l...), '\n')
		}
	}
	return text
}
