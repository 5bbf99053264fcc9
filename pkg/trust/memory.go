package trust

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/go-digest"
)

// maxMemory bounds what is remembered of one policy, in bytes.
const maxMemory = 32 << 20

// Memory remembers what was verified, in a directory of files, one a policy:
// what one policy verified says nothing under another, so the file is named by
// the policy's hash, and a line by the rule that applied. Only Verified is
// remembered, because everything else can change. Any number of processes may
// share the directory; a fault is a miss, never an error. The nil Memory
// remembers nothing.
type Memory struct {
	dir string

	mu       sync.Mutex
	policies map[string]*remembered
}

// remembered is what is known of one policy.
type remembered struct {
	known map[memoryKey]Check
	fresh bool // some of it is not in the file
}

type memoryKey struct {
	rule, what string
	digest     digest.Digest
}

// memoryLine is a line of a file.
type memoryLine struct {
	Rule  string `json:"rule"`
	Check Check  `json:"check"`
}

// NewMemory makes a memory in dir, which need not exist; "" remembers for this
// process only. Whoever can write
// there can make things look verified: it is a directory of the user alone.
func NewMemory(dir string) *Memory {
	return &Memory{dir: dir, policies: map[string]*remembered{}}
}

// Recall returns the check of a digest if the policy verified it before, under
// the same rule.
func (m *Memory) Recall(p *Policy, rule *Rule, what string, d digest.Digest) (Check, bool) {
	if m == nil || rule == nil {
		return Check{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	check, ok := m.of(p).known[memoryKey{rule.String(), what, d}]
	return check, ok
}

// Remember keeps a check, if it is of something verified.
func (m *Memory) Remember(p *Policy, rule *Rule, check Check) {
	if m == nil || rule == nil || check.Result != Verified {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of(p)
	of.known[memoryKey{rule.String(), check.What, check.Digest}] = check
	of.fresh = true
}

// of reads the file of a policy, once. The caller holds the lock.
func (m *Memory) of(p *Policy) *remembered {
	of := m.policies[p.hash]
	if of != nil {
		return of
	}
	of = &remembered{known: map[memoryKey]Check{}}
	m.policies[p.hash] = of
	if m.dir == "" {
		return of
	}
	file, err := os.Open(m.path(p.hash))
	if err != nil {
		return of
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxMemory))
	for lines.Scan() {
		var line memoryLine
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Check.Result == Verified && line.Check.Digest.Validate() == nil {
			of.known[memoryKey{line.Rule, line.Check.What, line.Check.Digest}] = line.Check
		}
	}
	return of
}

func (m *Memory) path(hash string) string { return filepath.Join(m.dir, hash+".jsonl") }

// Save writes what is new to the files, each replaced whole. It is best effort.
func (m *Memory) Save() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for hash, of := range m.policies {
		if of.fresh && m.dir != "" {
			of.fresh = false
			m.write(hash, of)
		}
	}
}

func (m *Memory) write(hash string, of *remembered) {
	var text bytes.Buffer
	for key, check := range of.known {
		line, err := json.Marshal(memoryLine{key.rule, check})
		if err == nil && text.Len()+len(line) < maxMemory {
			text.Write(append(line, '\n'))
		}
	}
	if os.MkdirAll(m.dir, 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(m.dir, ".tmp-*")
	if err != nil {
		return
	}
	_, err = file.Write(text.Bytes())
	if err = cmp.Or(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), m.path(hash))
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
}
