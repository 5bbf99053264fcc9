package cli

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// journal notes which entries a run of `verify --all` has found in order, or one
// of `sign --all` has signed, so that a run which is interrupted can be taken up
// again. It is for one set of catalogs and one policy or signer, and is removed
// by a run that reaches its end. A fault of it costs looking or signing again,
// and nothing else.
type journal struct {
	path string

	mu   sync.Mutex
	file *os.File
	seen map[string]bool // of the run before
}

// journalLine is an entry that was found in order, or signed.
type journalLine struct {
	Catalog  string `json:"catalog"`
	Name     string `json:"name"`
	Revision string `json:"revision"`
}

func (l journalLine) key() string { return l.Catalog + " " + l.Name + " " + l.Revision }

// openJournal opens the journal of a verb, by a policy or a signer. resume says
// whether what the run before has done counts.
func (a *app) openJournal(verb, by string, resume bool) *journal {
	j := &journal{seen: map[string]bool{}}
	dir, err := cacheDir(a.system.Getenv)
	if err != nil {
		return j
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{by}, append(a.settings.catalogs, a.settings.server)...), "\n")))
	j.path = filepath.Join(dir, "caib", verb, hex.EncodeToString(sum[:])+".jsonl")
	if !resume {
		_ = os.Remove(j.path)
		return j
	}
	file, err := os.Open(j.path)
	if err != nil {
		return j
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var line journalLine
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			j.seen[line.key()] = true
		}
	}
	return j
}

// has reports whether an entry was done before.
func (j *journal) has(line journalLine) bool { return j.seen[line.key()] }

// add notes that an entry is done.
func (j *journal) add(line journalLine) {
	if j.path == "" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		if os.MkdirAll(filepath.Dir(j.path), 0o700) != nil {
			return
		}
		file, err := os.OpenFile(j.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			j.path = ""
			return
		}
		j.file = file
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, _ = j.file.Write(append(text, '\n'))
	}
}

// finish forgets a run that reached its end.
func (j *journal) finish() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		_ = j.file.Close()
	}
	if j.path != "" {
		_ = os.Remove(j.path)
	}
}
