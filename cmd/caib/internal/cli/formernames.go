package cli

import "github.com/spf13/pflag"

// formerNames are the flags that the client of the Build API calls otherwise, by its
// names: they are accepted everywhere, and help has the ones of today.
var formerNames = map[string]string{
	"catalog-name":  "name",
	"output-format": "output",
	"arch":          "architecture",
	"tag":           "tags",
}

// formerName returns the name of today of a flag.
func formerName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if today, ok := formerNames[name]; ok {
		return pflag.NormalizedName(today)
	}
	return pflag.NormalizedName(name)
}
