package trust

import (
	"bufio"
	"cmp"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	fresh []memoryKey // of known: what is not in the file
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
// process only. Whoever can write there can make things look verified: it is a
// directory of the user alone.
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
	key := memoryKey{rule.String(), check.What, check.Digest}
	if _, ok := of.known[key]; !ok {
		of.fresh = append(of.fresh, key)
	}
	of.known[key] = check
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
		if len(of.fresh) > 0 && m.dir != "" {
			m.write(hash, of)
			of.fresh = nil
		}
	}
}

func (m *Memory) write(hash string, of *remembered) {
	text := memoryText(of.known, of.fresh)
	if os.MkdirAll(m.dir, 0o700) != nil {
		return
	}
	if info, err := os.Stat(m.path(hash)); err == nil && info.Size()+int64(len(text)) > maxMemory {
		m.replace(hash, of)
		return
	}
	file, err := os.OpenFile(m.path(hash), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = file.Write(text) // a line that is cut short is skipped
	_ = file.Close()
}

// memoryText is lines of what is known under some keys, with one before them: so
// that a line which was cut off takes no other with it.
func memoryText(known map[memoryKey]Check, keys []memoryKey) []byte {
	text := []byte{'\n'}
	for _, key := range keys {
		line, err := json.Marshal(memoryLine{key.rule, known[key]})
		if err == nil && len(text)+len(line) < maxMemory/2 {
			text = append(append(text, line...), '\n')
		}
	}
	return text
}

// replace writes a file anew, with no line twice.
func (m *Memory) replace(hash string, of *remembered) {
	file, err := os.CreateTemp(m.dir, ".tmp-*")
	if err != nil {
		return
	}
	_, err = file.Write(memoryText(of.known, slices.Collect(maps.Keys(of.known))))
	if err = cmp.Or(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), m.path(hash))
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
}
