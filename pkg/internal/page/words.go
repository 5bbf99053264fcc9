package page

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oci-catalog/caib/pkg/entry"
)

// word is a state in words: what it is called, what that means, and the class by
// which the stylesheet colours it.
type word struct{ Text, Meaning, Class string }

// phaseWords says whether an image can be had.
func phaseWords(phase entry.Phase) word {
	switch phase {
	case entry.PhaseAvailable:
		return word{"Available", "the image can be had as it was published", "good"}
	case entry.PhaseUnavailable:
		return word{"Unavailable", "the registry does not answer; it is asked again", "warn"}
	case entry.PhaseFailed:
		return word{"Failed", "the image cannot be had", "bad"}
	case entry.PhaseVerifying:
		return word{"Verifying", "the registry is being asked for the image", "idle"}
	case entry.PhasePending:
		return word{"Pending", "the registry was not asked for the image yet", "idle"}
	}
	return word{string(phase), "", "idle"}
}

// verdictWords says what the policy of the server makes of the signatures.
func verdictWords(verdict entry.Verdict) word {
	switch verdict {
	case entry.VerdictVerified:
		return word{"Verified", "signed by those whom the policy names", "good"}
	case entry.VerdictUnsigned:
		return word{"Unsigned", "nobody has signed it", "warn"}
	case entry.VerdictUntrusted:
		return word{"Untrusted", "signed, but not by those whom the policy names", "bad"}
	case entry.VerdictInvalid:
		return word{"Invalid", "the signatures are not of this entry", "bad"}
	case entry.VerdictUnknown:
		return word{"Unknown", "it could not be found out who signed it", "idle"}
	}
	return word{}
}

// conditionWords is a condition as a sentence.
func conditionWords(c entry.Condition) string {
	sentence := c.Message
	if sentence == "" {
		switch {
		case c.Type == "Available" && c.Status == "True":
			sentence = "the image can be had as it was published"
		case c.Reason != "":
			sentence = apart(c.Reason)
		default:
			sentence = apart(c.Type)
			if c.Status != "True" {
				sentence = "not " + sentence
			}
		}
	}
	first, length := utf8.DecodeRuneInString(sentence)
	return string(unicode.ToUpper(first)) + sentence[length:]
}

// apart writes a word in CamelCase as words.
func apart(word string) string {
	var b strings.Builder
	for n, r := range word {
		if n > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// size is a number of bytes in binary units; "" for none.
func size(bytes int64) string {
	if bytes <= 0 {
		return ""
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	digits := 1
	if unit == 0 || value >= 100 {
		digits = 0
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + units[unit]
}

// count is a number with its thousands apart.
func count(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// moment is a time as people read it. The script says how long ago that is.
func moment(at any) string { return format(at, "2 Jan 2006, 15:04 UTC") }

// iso is a time as browsers read it.
func iso(at any) string { return format(at, time.RFC3339) }

// format writes a time; "" where there is none.
func format(at any, layout string) string {
	var t time.Time
	switch at := at.(type) {
	case entry.Time:
		t = at.Time
	case *entry.Time:
		if at != nil {
			t = at.Time
		}
	}
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

// short is as much of a digest as people compare.
func short(digest any) string {
	text := ""
	if s, ok := digest.(interface{ String() string }); ok {
		text = s.String()
	}
	_, hash, found := strings.Cut(text, ":")
	if !found || len(hash) < 12 {
		return text
	}
	return hash[:12]
}

// cut is the beginning of a text that is longer than so many characters.
func cut(most int, text string) string {
	n := 0
	for at := range text {
		if n++; n > most {
			return strings.TrimSpace(text[:at]) + "…"
		}
	}
	return text
}
