package cli

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oci-catalog/caib/pkg/entry"
)

// attackColumns are those of the table in SPEC section 18: readers without a
// policy, and with one.
var attackColumns = []string{"cold", "warm", "again", "policy, cold", "policy, warm", "policy, again"}

// attackRow is a row of the table: a cell for each column, and what a reader
// names where it says something.
type attackRow struct {
	cells []string
	said  []string
}

// attackTable reads the table of SPEC section 18.
func attackTable(t *testing.T) map[string]attackRow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "schema", "SPEC.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## 18 What a reader does under attack\n")
	if !found {
		t.Fatal("SPEC has no section 18 about attacks")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]attackRow{}
	for line := range strings.Lines(section) {
		fields := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(fields) != len(attackColumns)+2 || strings.HasPrefix(fields[0], "---") {
			continue
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if fields[0] == "attack" {
			if diff := cmp.Diff(attackColumns, fields[1:len(fields)-1]); diff != "" {
				t.Fatalf("columns of the table (-want +got):\n%s", diff)
			}
			continue
		}
		if _, twice := rows[fields[0]]; twice {
			t.Fatalf("the table has two rows %q", fields[0])
		}
		rows[fields[0]] = attackRow{fields[1 : len(fields)-1], strings.Split(fields[len(fields)-1], ", ")}
	}
	return rows
}

// otherEntries is how many entries there are beside the one that is attacked.
const otherEntries = 6

// What a reader does under attack is what SPEC says, cell by cell.
func TestAttackTable(t *testing.T) {
	table := attackTable(t)
	want, got := slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(attacks))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows of SPEC section 18, and attacks that are tried (-table +tried):\n%s", diff)
	}
	o := newOwner(t)
	for name, row := range table {
		if _, ok := attacks[name]; !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkGoesBack(t, row)
			cells := tryAttack(t, o, attacks[name], row.said)
			if diff := cmp.Diff(row.cells, cells); diff != "" {
				t.Errorf("SPEC section 18 and what readers do (-table +done):\n%s\nthe row is\n| %s | %s | %s |", diff, name, strings.Join(cells, " | "), strings.Join(row.said, ", "))
			}
		})
	}
}

// checkGoesBack checks the table itself against the promise it makes: under a
// policy nobody is shown an older version than there was as verified with exit
// code 0, but a reader who never saw the later one.
func checkGoesBack(t *testing.T, row attackRow) {
	t.Helper()
	for i, cell := range row.cells {
		cold := strings.HasSuffix(attackColumns[i], "cold")
		if untold := strings.Contains(cell, "untold"); untold && !cold {
			t.Errorf("%s: %q: a reader who saw v2 is not told", attackColumns[i], cell)
		}
		if strings.HasPrefix(attackColumns[i], "policy") && strings.HasPrefix(cell, "0 v1") && !cold {
			t.Errorf("%s: %q: an older version is shown as verified", attackColumns[i], cell)
		}
	}
}

// tryAttack makes a victim and attacks it, and returns what readers then do, by
// attackColumns. Each cell has a reader who lists, and one who gets app.
func tryAttack(t *testing.T, o *owner, a attack, said []string) (cells []string) {
	v := newVictim(t, o, otherEntries, a.snapshot)
	var cold, warm [2]attackReaders
	for i, policy := range []string{"", o.policy()} {
		cold[i], warm[i] = newAttackReaders(v, policy), newAttackReaders(v, policy)
		warm[i].see()
	}
	words := map[string]string{"v2's tag": v.v2.tag, "entry app": `entry "app"`}
	maps.Copy(words, a.do(v))
	var wanted []string
	for _, word := range said {
		if text, ok := words[word]; ok {
			wanted = append(wanted, strings.Split(text, "\n")...)
		} else if word != "nothing" {
			t.Fatalf("the column of what is said has %q, and this attack only %q", word, slices.Sorted(maps.Keys(words)))
		}
	}
	for i := range cold {
		for _, readers := range []attackReaders{cold[i], warm[i], warm[i]} {
			column := attackColumns[len(cells)]
			cells = append(cells, readers.cell(column, a, wanted))
		}
	}
	if a.after != nil {
		a.after(v)
	}
	return cells
}

// attackReaders are two people who use the catalog in the same way, one listing
// it and one asking for app, each with directories of their own.
type attackReaders struct {
	v         *victim
	policy    string
	list, get map[string]string // environments
}

func newAttackReaders(v *victim, policy string) attackReaders {
	r := attackReaders{v, policy, homeEnv(v.t), homeEnv(v.t)}
	for _, env := range []map[string]string{r.list, r.get} {
		env["CAIB_CATALOG"], env["CAIB_POLICY"] = v.catalog, policy
	}
	return r
}

// see lists the catalog before it is attacked.
func (r attackReaders) see() {
	r.v.t.Helper()
	for _, env := range []map[string]string{r.list, r.get} {
		code, stdout, stderr := run(r.v.t, env, "catalog", "list", "-o", "json")
		if page := read[entry.Page](r.v.t, stdout); code != 0 || page.Total != len(r.v.others)+1 || stderr != "" {
			r.v.t.Fatalf("before the attack: exit code %d, %d entries, said %q", code, page.Total, stderr)
		}
	}
}

// reading is what one command did: its exit code, the version of app that it
// showed, and what it said.
type reading struct {
	code          int
	version, said string
}

// command runs a command, within the requests that an attack may cost.
func (r attackReaders) command(column string, a attack, env map[string]string, args ...string) (reading, []entry.Item) {
	before := r.v.requests.Load()
	code, stdout, stderr := run(r.v.t, env, append([]string{"catalog"}, append(args, "-o", "json")...)...)
	most := int64(a.requests)
	if again := strings.HasSuffix(column, "again") && a.readOnce; most == 0 || again {
		most = 80
	}
	if made := r.v.requests.Load() - before; made > most {
		r.v.t.Errorf("%s: %s: %d requests, want at most %d", column, args[0], made, most)
	}
	if lines := strings.Count(stderr, "\n"); lines > 8 {
		r.v.t.Errorf("%s: %s says %d lines, want at most 8:\n%s", column, args[0], lines, quoted(stderr))
	}
	done := reading{code: code, said: strings.ReplaceAll(stderr, `\"`, `"`)}
	var items []entry.Item
	if args[0] == "list" {
		items = read[entry.Page](r.v.t, stdout).Items
	} else if code == 0 {
		items = []entry.Item{read[entry.Item](r.v.t, stdout)}
	}
	for _, item := range items {
		if item.Name == "app" {
			done.version = item.Version
		}
		if want := map[bool]string{true: "verified"}[r.policy != ""]; string(item.Verdict) != want {
			r.v.t.Errorf("%s: %s: %s has the verdict %q, want %q", column, args[0], item.Name, item.Verdict, want)
		}
	}
	return done, items
}

// cell runs both commands and says in the words of the table what they did.
func (r attackReaders) cell(column string, a attack, wanted []string) string {
	list, items := r.command(column, a, r.list, "list")
	get, _ := r.command(column, a, r.get, "get", "app")
	for _, name := range r.v.others {
		if !slices.ContainsFunc(items, func(item entry.Item) bool { return item.Name == name }) {
			r.v.t.Errorf("%s: list does not show %s, which nobody attacked", column, name)
		}
	}
	for what, done := range map[string]reading{"list": list, "get": get} {
		if done.said == "" {
			continue
		}
		if len(wanted) == 0 {
			r.v.t.Errorf("%s: %s says, and the table has nothing of it:\n%s", column, what, quoted(done.said))
		}
		for _, word := range wanted {
			if !strings.Contains(done.said, word) {
				r.v.t.Errorf("%s: %s says nothing of %s:\n%s", column, what, word, quoted(done.said))
			}
		}
	}
	return cellOf(list, get)
}

// versions are those of app that a reader may be shown; v2 was live before the attack.
var versions = regexp.MustCompile(`^[123]$`)

func cellOf(list, get reading) string {
	code := fmt.Sprint(list.code)
	if get.code != list.code {
		code += fmt.Sprint("/", get.code)
	}
	shown := list.version
	if get.code == 0 && get.version != shown {
		return fmt.Sprintf("%s: list shows %q, and get %q", code, list.version, get.version)
	}
	switch {
	case shown == "" && list.code == exitUntrusted:
		return code + " refused"
	case shown == "" && strings.Contains(list.said, "later format"):
		return code + " hidden, warned"
	case shown == "" && get.code == exitNotFound && list.said == "":
		return code + " removed"
	case !versions.MatchString(shown):
		return fmt.Sprintf("%s shows %q", code, shown)
	case shown < "2" && (list.said == "") != (get.said == ""):
		return fmt.Sprintf("%s: list says %q, and get %q", code, list.said, get.said)
	case list.code == exitOK && list.said != "":
		return code + " v" + shown + ", warned"
	case shown < "2":
		return code + " v" + shown + ", untold"
	}
	return code + " v" + shown
}
