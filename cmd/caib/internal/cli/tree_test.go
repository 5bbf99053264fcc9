package cli

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
)

// contractExits is the table of exit codes that users and their scripts rely
// on.
var contractExits = map[int]string{
	0:   "done, everything asked for holds",
	1:   "any other failure",
	2:   "usage or configuration: unknown flag, bad value, invalid document",
	3:   "authentication or permission",
	4:   "not found",
	5:   "conflict: it already exists, or another entry has this image",
	6:   "timed out",
	7:   "not trusted: unsigned, untrusted or invalid where a signature is required",
	8:   "unreachable: a registry or server could not be asked, or known parts of the catalog are missing from its answer, so nothing can be said",
	9:   "malformed: what a registry holds there is no image, or makes no sense",
	130: "interrupted",
}

// contractFlags are the flags that users and their scripts rely on, by verb;
// those of "catalog" are every verb's.
var contractFlags = map[string][]string{
	"catalog":           {"profile", "catalog", "server", "token", "plain-http", "insecure", "ca-file", "authfile", "policy", "timeout", "output", "quiet", "verbose", "no-color"},
	"list":              append([]string{"architecture", "distro", "target", "phase", "tags", "label", "sort", "latest", "limit", "as-of"}, demandFlags...),
	"get":               append([]string{"version", "as-of"}, demandFlags...),
	"pull":              append([]string{"version", "artifact", "partition", "platform", "keep-compressed", "max-size", "cache", "force"}, demandFlags...),
	"publish":           {"name", "version", "tags", "label", "description", "target", "no-attach", "dry-run", "sign-key", "sign-image", "signature-format"},
	"add":               {"digest", "sign-key", "signature-format"},
	"remove":            {"force", "reason", "sign-key", "signature-format"},
	"serve":             append([]string{"listen", "refresh", "verify-interval", "allow-publish", "token-file", "tls-cert", "tls-key", "status-store", "log-format", "log-level", "max-connections", "max-listeners", "max-listeners-per-address", "allow-registry", "base-path", "read-token-file"}, demandFlags...),
	"history":           demandFlags,
	"watch":             append([]string{"exec", "state", "all", "once", "interval", "retries"}, demandFlags...),
	"generate-key-pair": {"output-key-prefix", "force"},
	"import-key-pair":   {"key", "output-key-prefix", "force"},
	"sign":              {"sign-key", "sign-keyless", "sign-image", "signing-config", "trusted-root", "identity-token", "signature-format"},
	"verify":            append([]string{"all", "resume"}, demandFlags...),
	"repair":            {"apply", "from", "from-images", "allow-unsigned", "no-attach", "no-keep"},

	"login-check": {"push"},
	"mirrors":     demandFlags,
	"doctor":      {},
}

// demandFlags are those of every command that can demand signatures.
var demandFlags = []string{
	"verified", "key", "certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer", "certificate-oidc-issuer-regexp",
	"trusted-root", "require",
}

// contractKeys are the settings that have no flag.
var contractKeys = []string{"mirrors", "service-account.hosts", "service-account.token-file"}

func tree() *cobra.Command { return newRoot(&app{system: System()}) }

// walk calls visit with every command below root that a user can run.
func walk(command *cobra.Command, visit func(*cobra.Command)) {
	for _, child := range command.Commands() {
		if child.Runnable() {
			visit(child)
		}
		walk(child, visit)
	}
}

var statusLine = regexp.MustCompile(`(?m)^  (\d+) +(.+)$`)

// allVerbs are the commands that there are.
var allVerbs = []string{
	"caib catalog accept-loss",
	"caib catalog add",
	"caib catalog backup",
	"caib catalog copy",
	"caib catalog doctor",
	"caib catalog edit",
	"caib catalog generate-key-pair",
	"caib catalog get",
	"caib catalog history",
	"caib catalog import-key-pair",
	"caib catalog list",
	"caib catalog login-check",
	"caib catalog mirrors",
	"caib catalog policy test",
	"caib catalog publish",
	"caib catalog pull",
	"caib catalog remove",
	"caib catalog repair",
	"caib catalog restore",
	"caib catalog serve",
	"caib catalog sign",
	"caib catalog verify",
	"caib catalog watch",
	"caib completion", "caib completion bash", "caib completion fish", "caib completion powershell", "caib completion zsh",
	"caib config view", "caib help", "caib version",
}

func TestEveryVerbIsDescribed(t *testing.T) {
	var verbs []string
	walk(tree(), func(command *cobra.Command) {
		path := command.CommandPath()
		if command.Short == "" || command.Long == "" || command.Example == "" {
			t.Errorf("%s: want Short, Long and Example", path)
		}
		if !strings.Contains(command.Example, path) {
			t.Errorf("%s: its example does not use it:\n%s", path, command.Example)
		}
		if len(command.Commands()) > 0 && command.Name() != "completion" {
			return // a group: it prints its help
		}
		verbs = append(verbs, path)
		_, section, found := strings.Cut(command.Long, "Exit status:\n")
		if !found {
			t.Errorf("%s: its help has no section on exit status", path)
		}
		section = strings.ReplaceAll(section, "\n       ", " ") // a meaning of several lines
		said := map[int]string{}
		for _, line := range statusLine.FindAllStringSubmatch(section, -1) {
			code, err := strconv.Atoi(line[1])
			if err != nil {
				t.Fatal(err)
			}
			said[code] = line[2]
			if contractExits[code] != line[2] {
				t.Errorf("%s: exit status %d is %q, want %q", path, code, line[2], contractExits[code])
			}
		}
		for _, code := range []int{exitOK, exitFailure, exitInvalid} {
			if said[code] == "" {
				t.Errorf("%s: exit status %d is missing", path, code)
			}
		}
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Usage == "" {
				t.Errorf("%s: --%s has no help", path, flag.Name)
			}
		})
	})
	slices.Sort(verbs)
	want := allVerbs
	if diff := cmp.Diff(want, verbs); diff != "" {
		t.Errorf("verbs (-want +got)\n%s", diff)
	}
}

// Every example parses.
func TestExamplesParse(t *testing.T) {
	walk(tree(), func(command *cobra.Command) {
		text := strings.ReplaceAll(command.Example, "\\\n", " ")
		for line := range strings.Lines(text) {
			line, _, _ := strings.Cut(strings.TrimSpace(line), " # ")
			words := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(strings.TrimSuffix(line, ")"), -1)
			if i := slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "caib") }); i >= 0 {
				words = words[i+1:]
			}
			found, rest, err := tree().Find(words)
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || found.CommandPath() == "caib" {
				t.Errorf("%s: %q: %v", command.CommandPath(), line, err)
			}
		}
	})
}

func TestExitTable(t *testing.T) {
	got := map[int]string{}
	words := map[string]int{}
	for _, row := range exits {
		if old, ok := got[row.code]; ok && old != row.meaning {
			t.Errorf("exit code %d means %q and %q", row.code, old, row.meaning)
		}
		got[row.code] = row.meaning
		if code, ok := words[row.word]; ok && code != row.code {
			t.Errorf("%q is exit code %d and %d", row.word, code, row.code)
		}
		words[row.word] = row.code
	}
	if diff := cmp.Diff(contractExits, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func help(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, nil, append(args, "--help")...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v --help: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

func TestHelpListsEveryFlag(t *testing.T) {
	for verb, flags := range contractFlags {
		args, all := []string{"catalog"}, flags
		if verb != "catalog" {
			args, all = append(args, verb), append(slices.Clone(flags), contractFlags["catalog"]...)
		}
		text := help(t, args...)
		for _, flag := range all {
			if !regexp.MustCompile(`(?m)^ +(-., )?--` + regexp.QuoteMeta(flag) + `\b`).MatchString(text) {
				t.Errorf("%v --help does not list --%s", args, flag)
			}
		}
		for _, source := range allSettings {
			if source.env != "" && !strings.Contains(text, "["+source.env+"]") {
				t.Errorf("%v --help does not name %s", args, source.env)
			}
		}
		if !strings.Contains(text, "[NO_COLOR]") || !strings.Contains(text, "-o, --output") {
			t.Errorf("%v --help: want NO_COLOR and -o", args)
		}
	}
}

// publish and add have a flag for every field of the metadata.
func TestEveryMetadataFieldIsAFlag(t *testing.T) {
	kebab := func(name string) string {
		var b strings.Builder
		for i, r := range name {
			if unicode.IsUpper(r) && i > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(unicode.ToLower(r))
		}
		return b.String()
	}
	fields := reflect.TypeFor[entry.Metadata]()
	for _, verb := range []string{"publish", "add"} {
		command, _, err := tree().Find([]string{"catalog", verb})
		if err != nil {
			t.Fatal(err)
		}
		for i := range fields.NumField() {
			name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
			if name == "targets" {
				name = "target"
			}
			if command.Flags().Lookup(kebab(name)) == nil {
				t.Errorf("%s has no --%s", verb, kebab(name))
			}
		}
	}
}

func TestColumns(t *testing.T) {
	var table, wide []string
	for _, c := range columns {
		if !c.wide {
			table = append(table, c.title)
		}
		wide = append(wide, c.title)
	}
	want := "NAME VERSION ARCH DISTRO TARGET FORMAT PHASE SIGNED AGE IMAGE"
	if got := strings.Join(table, " "); got != want {
		t.Errorf("table: %s, want %s", got, want)
	}
	if got := strings.Join(wide, " "); got != want+" TAGS SIZE DIGEST" {
		t.Errorf("wide: %s", got)
	}
}

// Every setting of the contract has its flag, its key in the config file and
// its variable.
func TestSources(t *testing.T) {
	got := map[string]string{}
	for _, source := range allSettings {
		got[source.flag] = source.env
	}
	want := map[string]string{
		"catalog": "CAIB_CATALOG", "server": "CAIB_SERVER", "token": "CAIB_TOKEN", "plain-http": "CAIB_PLAIN_HTTP", "insecure": "CAIB_INSECURE", "ca-file": "CAIB_CA_FILE",
		"authfile": "REGISTRY_AUTH_FILE", "policy": "CAIB_POLICY", "timeout": "CAIB_TIMEOUT", "output": "CAIB_OUTPUT",
		"quiet": "", "verbose": "", "no-color": "NO_COLOR",
		"profile": "CAIB_PROFILE", "service-account.hosts": "", "service-account.token-file": "", "mirrors": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(slices.Values(slices.Concat(contractFlags["catalog"], contractKeys)))); diff != "" {
		t.Errorf("flags (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"table", "wide", "json", "yaml", "name"}, outputs); diff != "" {
		t.Error(fmt.Sprint("outputs (-want +got)\n", diff))
	}
}
