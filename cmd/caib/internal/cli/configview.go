package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

type viewOptions struct{ *app }

func newConfig(a *app) *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Show what caib is set to",
		Long: `Settings come from flags, from the environment, from the profile in use, from
the rest of the config file, and from their defaults, in that order.`,
		Example: "  caib config view",
		Args:    noSuchCommand,
		RunE:    showHelp,
	}
	command.AddCommand(newConfigView(a))
	return command
}

func newConfigView(a *app) *cobra.Command {
	o := &viewOptions{app: a}
	command := &cobra.Command{
		Use:   "view",
		Short: "Show every setting, and where its value comes from",
		Long: `Show every setting that holds, and where it comes from. Passwords and tokens are
masked. No registry is asked.`,
		Example: `  caib config view
  caib config view --profile staging -o json`,
		Args: arguments(),
	}
	return a.verb(command, nil, o.run)
}

// shownSetting is one row of `caib config view`.
type shownSetting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`            // flag, environment, profile, config or default
	Place string `json:"place,omitempty"` // the flag, the variable, or FILE:LINE
}

func (o *viewOptions) run(context.Context, []string) error {
	shown := o.settings.shown()
	names, values := o.proxySettings()
	for i, name := range names {
		shown = append(shown, shownSetting{strings.ToUpper(name), maskProxy(values[i]), "environment", name})
	}
	s := &o.settings
	switch s.output {
	case "json", "yaml":
		return o.document(s.output, struct {
			Config   string         `json:"config,omitempty"` // path of the config file, which need not exist
			Settings []shownSetting `json:"settings"`
		}{s.config.path, shown})
	case "name":
		for _, setting := range shown {
			fmt.Fprintln(o.system.Out, setting.Name)
		}
		return nil
	}
	rows := make([][]string, len(shown))
	for i, setting := range shown {
		rows[i] = []string{setting.Name, setting.Value, setting.From, setting.Place}
	}
	if err := o.rows([]string{"SETTING", "VALUE", "FROM", "PLACE"}, rows); err != nil {
		return err
	}
	if s.config.keys == nil {
		o.note("there is no config file %s", s.config.path)
	}
	return nil
}

// shown are the settings, in their order. A default is told in words where it
// is no single value.
func (s *settings) shown() []shownSetting {
	var all []shownSetting
	for _, source := range allSettings {
		from := s.origins[source.flag]
		value := s.set.Lookup(source.flag).Value.String()
		switch {
		case source.secret && value != "":
			value = "***"
		case from.kind == "default" && source.flag != "catalog":
			value = strings.ReplaceAll(source.otherwise, "`", "")
		}
		all = append(all, shownSetting{source.flag, maskURL(value), from.kind, from.place})
	}
	return all
}

// maskURL masks the password in a URL. One that cannot be parsed is masked
// whole.
func maskURL(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	parsed, err := url.Parse(text)
	if err != nil {
		return "***"
	}
	if _, secret := parsed.User.Password(); !secret {
		return text
	}
	return strings.Replace(parsed.Redacted(), ":xxxxx@", ":***@", 1)
}

// maskProxy masks the password of a proxy, which may lack the scheme.
func maskProxy(text string) string {
	if strings.Contains(text, "://") {
		return maskURL(text)
	}
	return strings.TrimPrefix(maskURL("http://"+text), "http://")
}

// proxyVariables are those that curl and Go programs know; each has a spelling
// in lower case too.
var proxyVariables = [][]string{{"HTTPS_PROXY", "https_proxy"}, {"HTTP_PROXY", "http_proxy"}, {"NO_PROXY", "no_proxy"}}

// proxySettings returns the variables of proxies that are set, and their values.
func (a *app) proxySettings() (names, values []string) {
	for _, spellings := range proxyVariables {
		for _, name := range spellings {
			if value := a.system.Getenv(name); value != "" {
				names, values = append(names, name), append(values, value)
				break
			}
		}
	}
	return names, values
}
