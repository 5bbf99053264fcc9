package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

var outputs = []string{"table", "wide", "json", "yaml", "name"}

// settings are what every verb is told. Each is a flag, else an environment
// variable, else a key of the profile in use, else a key of the config file,
// else its default.
type settings struct {
	profile      string
	catalogs     []string
	server       string
	token        string
	plainHTTP    bool
	insecure     bool
	caFile       string
	authFile     string
	serviceHosts []string
	serviceToken string
	mirrors      []registry.Mirror
	policy       string
	timeout      time.Duration
	output       string
	quiet        bool
	verbose      bool
	noColor      bool

	config  *config
	origins map[string]origin // by setting: where its value comes from
	set     *pflag.FlagSet    // every setting, whether a verb has a flag for it or not
}

// origin is where the value of a setting comes from.
type origin struct {
	kind  string // flag, environment, profile, config or default
	place string // the flag, the variable, or FILE:LINE
	label string // what an error message calls the place
}

// allSettings are the settings: one row each. A name is that of a flag, and of a
// key in the config file; with dots, it is a key in a mapping, and no flag, and
// neither is mirrorsKey.
var allSettings = []struct {
	flag, env string
	otherwise string // the default, in words
	secret    bool   // never shown
	define    func(s *settings, flags *pflag.FlagSet, name string)
}{
	{"profile", "CAIB_PROFILE", "none", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.profile, name, "", "the profile of the config file to use [CAIB_PROFILE]")
	}},
	{"catalog", "CAIB_CATALOG", "`oci:` directory in your data directory", false, func(s *settings, f *pflag.FlagSet, name string) {
		listFlag(f, &s.catalogs, name, "the catalog: REGISTRY/REPOSITORY or oci:PATH; several for reading [CAIB_CATALOG]")
	}},
	{"server", "CAIB_SERVER", "none", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.server, name, "", "the URL of an index server to ask instead of a registry [CAIB_SERVER]")
	}},
	{"token", "CAIB_TOKEN", "none", true, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.token, name, "", "the token to publish with through --server [CAIB_TOKEN]")
	}},
	{"plain-http", "CAIB_PLAIN_HTTP", "HTTPS; plain HTTP for loopback hosts only", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.BoolVar(&s.plainHTTP, name, false, "ask registries without TLS; the default for loopback hosts only [CAIB_PLAIN_HTTP]")
	}},
	{"insecure", "CAIB_INSECURE", "certificates are verified", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.BoolVar(&s.insecure, name, false, "accept any TLS certificate [CAIB_INSECURE]")
	}},
	{"ca-file", "CAIB_CA_FILE", "the system's authorities, and those of `certs.d`", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.caFile, name, "", "PEM file with certificate authorities to trust as well [CAIB_CA_FILE]")
	}},
	{"authfile", "REGISTRY_AUTH_FILE", "docker's configuration, with its credential helpers, then podman's `auth.json`", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.authFile, name, "", "credentials file in docker's or podman's format, instead of theirs [REGISTRY_AUTH_FILE]")
	}},
	{"service-account.hosts", "", "none", false, func(s *settings, f *pflag.FlagSet, name string) {
		listFlag(f, &s.serviceHosts, name, "registries to log in to with a Kubernetes service-account token")
	}},
	{"service-account.token-file", "", "the token that a pod mounts", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.serviceToken, name, "", "file with that token")
	}},
	{mirrorsKey, "", "those of `registries.conf`", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.Var(mirrorList{&s.mirrors}, name, "where images can be had as well: PREFIX=LOCATION")
	}},
	{"policy", "CAIB_POLICY", "none: signatures are not checked", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.StringVar(&s.policy, name, "", "trust policy (YAML file) that what is read must satisfy [CAIB_POLICY]")
	}},
	{"timeout", "CAIB_TIMEOUT", "30s; 5m for commands that write", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.DurationVar(&s.timeout, name, 0, "bound on the whole command; 30s, and 5m for commands that write [CAIB_TIMEOUT]")
	}},
	{"output", "CAIB_OUTPUT", "`table`; `yaml` for `get`", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.VarP(&choice{&s.output, outputs}, name, "o", "table, wide, json, yaml or name; table, and yaml for get [CAIB_OUTPUT]")
	}},
	{"quiet", "", "off", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.BoolVarP(&s.quiet, name, "q", false, "print results and errors only")
	}},
	{"verbose", "", "off", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.BoolVarP(&s.verbose, name, "v", false, "log every request to stderr")
	}},
	{"no-color", "NO_COLOR", "colours on a terminal only", false, func(s *settings, f *pflag.FlagSet, name string) {
		f.BoolVar(&s.noColor, name, false, "no colours, on a terminal either [NO_COLOR]")
	}},
}

// register gives a command the flags of all settings that have one.
func (s *settings) register(flags *pflag.FlagSet) {
	for _, source := range allSettings {
		if !strings.Contains(source.flag, ".") && source.flag != mirrorsKey {
			source.define(s, flags, source.flag)
		}
	}
}

// resolve completes the flags from environment and config file. An invalid
// value is an entry.ErrInvalid that names its place.
func (s *settings) resolve(flags *pflag.FlagSet, system Streams) error {
	var err error
	if s.config, err = readConfig(configPath(system.Getenv)); err != nil {
		return err
	}
	s.origins = map[string]origin{}
	s.set = pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, source := range allSettings { // the profile first: it decides about the others
		if flag := flags.Lookup(source.flag); flag != nil {
			s.set.AddFlag(flag)
		} else {
			source.define(s, s.set, source.flag)
		}
		if err := s.complete(source.flag, source.env, system.Getenv); err != nil {
			return err
		}
	}
	if s.set.Changed("timeout") && s.timeout <= 0 {
		return fmt.Errorf("%w: %s: %s: want more than 0", entry.ErrInvalid, s.origins["timeout"].label, s.timeout)
	}
	if err := s.chooseServer(); err != nil {
		return err
	}
	if len(s.catalogs) == 0 {
		dir, err := dataDir(system.Getenv)
		if err != nil {
			return err
		}
		s.catalogs = []string{"oci:" + filepath.Join(dir, "caib", "catalog")}
	}
	return nil
}

// chooseServer settles whether a server or catalogs are asked: what is said
// nearer to the command counts, and at the same distance the server does. Flags
// that say both are an entry.ErrInvalid.
func (s *settings) chooseServer() error {
	kinds := []string{"flag", "environment", "profile", "config", "default"}
	server, catalog := slices.Index(kinds, s.origins["server"].kind), slices.Index(kinds, s.origins["catalog"].kind)
	switch {
	case s.server != "" && server == 0 && catalog == 0:
		return fmt.Errorf("%w: --server and --catalog: a server chooses its catalogs itself; give one of the two", entry.ErrInvalid)
	case catalog < server:
		s.server = ""
	}
	return nil
}

// complete finds the value of one setting.
func (s *settings) complete(name, env string, getenv func(string) string) error {
	from := origin{kind: "default"}
	values, inConfig := s.config.values(s.profile, name)
	switch value := getenv(env); {
	case s.set.Changed(name):
		values, from = nil, origin{"flag", "--" + name, "--" + name}
	case env != "" && value != "":
		values, from = []string{value}, origin{"environment", env, env}
		if env == "NO_COLOR" {
			values = []string{"true"} // whatever its value: https://no-color.org
		}
	case values != nil:
		from = inConfig
	}
	s.origins[name] = from
	for _, value := range values {
		if err := s.set.Set(name, value); err != nil {
			return fmt.Errorf("%w: %s: %q: %v", entry.ErrInvalid, from.label, value, reasonOf(err))
		}
	}
	if name == "profile" && s.profile != "" && s.config.profiles[s.profile] == nil {
		return fmt.Errorf("%w: %s: no profile %q in config %s: %s", entry.ErrInvalid, from.label, s.profile, s.config.path, s.config.listProfiles())
	}
	return nil
}

// at names the place of a setting that turned out to be wrong.
func (s *settings) at(flag string, err error) error {
	if label := s.origins[flag].label; label != "" && errors.Is(err, entry.ErrInvalid) {
		return fmt.Errorf("%s: %w", label, err)
	}
	return err
}

// reasonOf returns why a value does not suit a flag, without pflag's sentence
// about the flag: the value may come from elsewhere.
func reasonOf(err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return invalid.Unwrap()
	}
	return err
}

// limit is how long a verb may take; 0 is as long as it likes.
func (s *settings) limit(verb string) time.Duration {
	switch {
	case verb == serveVerb, verb == watchVerb:
		return 0
	case s.timeout > 0:
		return s.timeout
	case slices.Contains([]string{pullVerb, copyVerb, backupVerb, restoreVerb, repairVerb}, verb):
		return 0
	case slices.Contains([]string{"publish", "add", "edit", "remove", "sign", "verify", "generate-key-pair", "import-key-pair", doctorVerb}, verb):
		return 5 * time.Minute
	}
	return 30 * time.Second
}

// choice is a flag with a closed set of values.
type choice struct {
	value *string
	all   []string
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return "FORMAT" }
func (c *choice) Set(text string) error {
	if text == "yml" { // the Build API's client
		text = "yaml"
	}
	for _, known := range c.all {
		if text == known {
			*c.value = text
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(c.all, ", "))
}

// moment reads the value of a flag that is a time, a date or an age; "" is none.
func (a *app) moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := entry.ParseTime(text, a.system.Now())
	if err != nil {
		return time.Time{}, fmt.Errorf("--%s %s: %w", flag, strconv.Quote(text), err)
	}
	return at, nil
}
