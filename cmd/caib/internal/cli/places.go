package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/oci-catalog/caib/pkg/catalog"
	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/registry"
)

// mirrorsKey is the key of the config file, and no flag, that says where images can
// be had as well.
const mirrorsKey = "mirrors"

// mirrorList is a list of PREFIX=LOCATION.
type mirrorList struct{ all *[]registry.Mirror }

func (m mirrorList) String() string {
	if m.all == nil {
		return ""
	}
	words := make([]string, len(*m.all))
	for n, mirror := range *m.all {
		words[n] = mirror.Prefix + "=" + mirror.Location
	}
	return strings.Join(words, ",")
}

func (m mirrorList) Type() string { return "list" }

func (m mirrorList) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		mirror, err := registry.ParseMirror(strings.TrimSpace(word))
		if err != nil {
			return errors.New(strings.TrimPrefix(err.Error(), entry.ErrInvalid.Error()+": "))
		}
		*m.all = append(*m.all, mirror)
	}
	return nil
}

// location is where an image is asked for first, by digest; "" where it was
// published. An index server knows neither this reader's mirrors nor its logins.
func (a *app) location(item *entry.Item) (string, error) {
	if item.Location != "" {
		return item.Location, nil
	}
	ref, err := registry.ParseReference(item.RegistryURL)
	if err != nil {
		return "", nil // as it was published, it is no place
	}
	client, err := a.client()
	if err != nil {
		return "", err
	}
	ref.Digest = item.Digest
	places, err := client.Places(ref)
	if err != nil || places[0].Normal().Base() == ref.Normal().Base() {
		return "", err
	}
	return places[0].String(), nil
}

// fromElsewhere reports whether a file came from elsewhere than where it was published.
func fromElsewhere(item *entry.Item, files []catalog.PulledFile) bool {
	own := map[string]bool{}
	for _, reference := range append(artifactURLs(item), item.RegistryURL) {
		if ref, err := registry.ParseReference(reference); err == nil {
			own[ref.Base()] = true
		}
	}
	return slices.ContainsFunc(files, func(file catalog.PulledFile) bool { return !own[file.Place] })
}

func artifactURLs(item *entry.Item) (all []string) {
	for _, artifact := range item.ArtifactRefs {
		all = append(all, artifact.URL)
	}
	return all
}
