package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/ocilog"
	"github.com/oci-catalog/caib/pkg/registry"
)

var outputs = []string{"table", "wide", "json", "yaml", "name"}

// settings are the flags that every verb has. Each is a flag, else an
// environment variable, else a key of the config file, else its default.
type settings struct {
	catalogs  []string
	plainHTTP bool
	insecure  bool
	caFile    string
	authFile  string
	timeout   time.Duration
	output    string
	quiet     bool
	verbose   bool
	noColor   bool

	plainHTTPSet bool
	authFileSet  bool
	places       map[string]string // by flag: where its value comes from, unless it is the default
}

// sources names, for each setting, its flag, which is its key in the config
// file too, and its environment variable.
var sources = []struct{ flag, env string }{
	{"catalog", "CAIB_CATALOG"},
	{"plain-http", "CAIB_PLAIN_HTTP"},
	{"insecure", "CAIB_INSECURE"},
	{"ca-file", "CAIB_CA_FILE"},
	{"authfile", "REGISTRY_AUTH_FILE"},
	{"timeout", "CAIB_TIMEOUT"},
	{"output", "CAIB_OUTPUT"},
	{"quiet", ""},
	{"verbose", ""},
	{"no-color", ""},
}

func (s *settings) register(flags *pflag.FlagSet) {
	listFlag(flags, &s.catalogs, "catalog", "the catalog: REGISTRY/REPOSITORY or oci:PATH; several for reading [CAIB_CATALOG]")
	flags.BoolVar(&s.plainHTTP, "plain-http", false, "ask registries without TLS; the default for loopback hosts only [CAIB_PLAIN_HTTP]")
	flags.BoolVar(&s.insecure, "insecure", false, "accept any TLS certificate [CAIB_INSECURE]")
	flags.StringVar(&s.caFile, "ca-file", "", "PEM file with certificate authorities to trust as well [CAIB_CA_FILE]")
	flags.StringVar(&s.authFile, "authfile", "", "credentials file in docker's format [REGISTRY_AUTH_FILE]")
	flags.DurationVar(&s.timeout, "timeout", 0, "bound on the whole command; 30s, and 5m for commands that write [CAIB_TIMEOUT]")
	flags.VarP(&choice{&s.output, outputs}, "output", "o", "table, wide, json, yaml or name; table, and yaml for get [CAIB_OUTPUT]")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "print results and errors only")
	flags.BoolVarP(&s.verbose, "verbose", "v", false, "log every request to stderr")
	flags.BoolVar(&s.noColor, "no-color", false, "no colours, on a terminal either [NO_COLOR]")
}

// resolve completes the flags from environment and config file. An invalid
// value is an entry.ErrInvalid that names its place.
func (s *settings) resolve(flags *pflag.FlagSet, system Streams) error {
	config, err := readConfig(configPath(system.Getenv))
	if err != nil {
		return err
	}
	s.places = map[string]string{}
	if !flags.Changed("no-color") && system.Getenv("NO_COLOR") != "" {
		_ = flags.Set("no-color", "true") // whatever its value: https://no-color.org
	}
	for _, source := range sources {
		if flags.Changed(source.flag) {
			s.places[source.flag] = "--" + source.flag
			continue
		}
		values, place := config.values(source.flag)
		if env := system.Getenv(source.env); source.env != "" && env != "" {
			values, place = []string{env}, source.env
		}
		s.places[source.flag] = place
		for _, value := range values {
			if err := flags.Set(source.flag, value); err != nil {
				return fmt.Errorf("%w: %s: %q: %v", entry.ErrInvalid, place, value, unwrapFlag(err))
			}
		}
	}
	s.plainHTTPSet = flags.Changed("plain-http")
	s.authFileSet = flags.Changed("authfile")
	if flags.Changed("timeout") && s.timeout <= 0 {
		return fmt.Errorf("%w: %s: %s: want more than 0", entry.ErrInvalid, s.places["timeout"], s.timeout)
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

// at names the place of a setting that turned out to be wrong.
func (s *settings) at(flag string, err error) error {
	if place := s.places[flag]; place != "" && errors.Is(err, entry.ErrInvalid) {
		return fmt.Errorf("%s: %w", place, err)
	}
	return err
}

// unwrapFlag leaves out pflag's own sentence about the flag: the value may
// come from elsewhere.
func unwrapFlag(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, " flag: "); i >= 0 {
		return text[i+len(" flag: "):]
	}
	return text
}

// limit is how long a verb may take.
func (s *settings) limit(verb string) time.Duration {
	switch {
	case s.timeout > 0:
		return s.timeout
	case verb == "publish" || verb == "add" || verb == "remove":
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
	for _, known := range c.all {
		if text == known {
			*c.value = text
			return nil
		}
	}
	return fmt.Errorf("want one of %s", strings.Join(c.all, ", "))
}

// client makes the registry client that the settings describe.
func (a *app) client() (*registry.Client, error) {
	s := &a.settings
	path, required := s.authFile, s.authFileSet
	if !required {
		path = dockerConfigPath(a.system.Getenv)
	}
	credentials, err := registry.DockerConfig(path, required)
	if err != nil {
		return nil, s.at("authfile", err)
	}
	plain := registry.HTTPLoopback
	if s.plainHTTPSet && s.plainHTTP {
		plain = registry.HTTPAlways
	} else if s.plainHTTPSet {
		plain = registry.HTTPNever
	}
	logger := slog.New(slog.DiscardHandler)
	if s.verbose {
		logger = slog.New(slog.NewTextHandler(a.system.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	client, err := registry.New(registry.Options{
		PlainHTTP: plain, InsecureTLS: s.insecure, CAFile: s.caFile, Credentials: credentials,
		UserAgent: "caib/" + version().Version, Proxy: http.ProxyFromEnvironment, Logger: logger,
	})
	return client, s.at("ca-file", err)
}

// open opens every catalog of the settings.
func (a *app) open() ([]*catalog.Catalog, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	options := catalog.Options{
		Registry: client, Author: a.system.author(), Now: a.system.Now,
		Warn: func(err error) { a.warn(err.Error()) },
	}
	if dir, err := cacheDir(a.system.Getenv); err == nil {
		options.Cache = ocilog.NewCache(filepath.Join(dir, "caib"), 0)
	}
	var opened []*catalog.Catalog
	for _, reference := range a.settings.catalogs {
		c, err := catalog.Open(reference, options)
		if err != nil {
			return nil, a.settings.at("catalog", err)
		}
		opened = append(opened, c)
	}
	return opened, nil
}

// openOne opens the one catalog that a verb writes to.
func (a *app) openOne() (*catalog.Catalog, error) {
	if len(a.settings.catalogs) > 1 {
		return nil, fmt.Errorf("%w: --catalog: %d catalogs given, and only one can be written to", entry.ErrInvalid, len(a.settings.catalogs))
	}
	opened, err := a.open()
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}

// The directories of a user, as each operating system has them.

func homeDir(getenv func(string) string, variable, darwin, unix string) (string, error) {
	if dir := getenv(variable); dir != "" && filepath.IsAbs(dir) {
		return dir, nil
	}
	switch runtime.GOOS {
	case "windows":
		if dir := getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
	case "darwin":
		if home := getenv("HOME"); home != "" {
			return filepath.Join(home, darwin), nil
		}
	default:
		if home := getenv("HOME"); home != "" {
			return filepath.Join(home, unix), nil
		}
	}
	return "", fmt.Errorf("%w: no home directory is set: give --catalog", entry.ErrInvalid)
}

func dataDir(getenv func(string) string) (string, error) {
	return homeDir(getenv, "XDG_DATA_HOME", "Library/Application Support", ".local/share")
}

func cacheDir(getenv func(string) string) (string, error) {
	return homeDir(getenv, "XDG_CACHE_HOME", "Library/Caches", ".cache")
}

func configPath(getenv func(string) string) string {
	dir, err := homeDir(getenv, "XDG_CONFIG_HOME", "Library/Application Support", ".config")
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "caib", "config.yaml")
}

func dockerConfigPath(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	home := getenv("HOME")
	if home == "" {
		home = getenv("USERPROFILE")
	}
	if home == "" {
		return os.DevNull
	}
	return filepath.Join(home, ".docker", "config.json")
}

// parseTime reads a moment: RFC 3339, a date (its beginning, UTC), or a
// duration before now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%w: --as-of %s: want a time such as 2026-03-01T12:00:00Z, a date such as 2026-03-01, or how long ago, such as 48h", entry.ErrInvalid, strconv.Quote(text))
}
