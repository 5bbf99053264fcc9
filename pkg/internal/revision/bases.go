package revision

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxBases bounds the revisions that an edit names: as many hashes fit into the value
// of an annotation.
const maxBases = (maxFacet + 1) / (hashDigits + 1)

// basesText is the value of the annotation: the hashes of the tags of the revisions
// that an edit was made from (SPEC section 4.2), the one that it changes first. What
// is beyond the bound is left out.
func basesText(hashes []string) string {
	return strings.Join(hashes[:min(len(hashes), maxBases)], " ")
}

// parseBases reads the value of the annotation. Anything malformed says nothing.
func parseBases(text string) []string {
	if text == "" || len(text) > maxFacet {
		return nil
	}
	hashes := strings.Split(text, " ")
	for _, hash := range hashes {
		if len(hash) != hashDigits || strings.Trim(hash, hexadecimal) != "" {
			return nil
		}
	}
	return hashes
}

// saidIn reads out of a manifest's annotations what they say beside the document: what
// the writer saw of the catalog, and which revisions an edit was made from.
func saidIn(annotations jsontext.Value) (seen Seen, bases []string) {
	if !bytes.Contains(annotations, []byte(AnnotationSeen)) && !bytes.Contains(annotations, []byte(AnnotationBase)) {
		return Seen{}, nil // most often, and cheaper than to decode them
	}
	var said map[string]any
	if json.Unmarshal(annotations, &said) != nil {
		return Seen{}, nil
	}
	count, _ := said[AnnotationSeen].(string)
	from, _ := said[AnnotationBase].(string)
	return parseSeen(count), parseBases(from)
}
