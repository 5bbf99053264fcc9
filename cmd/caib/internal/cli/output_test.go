package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/oci-catalog/caib/examples/samples"
	"github.com/oci-catalog/caib/pkg/entry"
)

func TestPlainWriter(t *testing.T) {
	for name, c := range map[string]struct {
		writes []string
		want   string
	}{
		"plain text":               {[]string{"autosd\trpi4\n"}, "autosd\trpi4\n"},
		"other scripts stay":       {[]string{"Größe 大 🚗 שלום\n"}, "Größe 大 🚗 שלום\n"},
		"escape sequence":          {[]string{"\x1b[2J"}, `\u001b[2J`},
		"split escape sequence":    {[]string{"\x1b", "[2", "J"}, `\u001b[2J`},
		"control characters":       {[]string{"\x00\a\b\v\f\r\x1f\x7f"}, `\u0000\u0007\u0008\u000b\u000c\u000d\u001f\u007f`},
		"C1":                       {[]string{"\u0080\u009b\u009f"}, `\u0080\u009b\u009f`},
		"the first after C1":       {[]string{"\u00a0\u00a1"}, "\u00a0\u00a1"},
		"bidi":                     {[]string{"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}, `\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069`},
		"marks that do not show":   {[]string{"\u061c\u200b\u200c\u200d\u200e\u200f\ufeff"}, `\u061c\u200b\u200c\u200d\u200e\u200f\ufeff`},
		"line separators":          {[]string{"\u2028\u2029"}, `\u2028\u2029`},
		"beside bidi":              {[]string{"\u2027\u202f\u2065\u206a"}, "\u2027\u202f\u2065\u206a"},
		"invalid":                  {[]string{"a\xffb\xc3(c"}, `a\ufffdb\ufffd(c`},
		"C1 as a lone byte":        {[]string{"\x9b31m"}, `\ufffd31m`},
		"the replacement itself":   {[]string{"\ufffd"}, "\ufffd"},
		"split in two":             {[]string{"\xc3", "\xa4"}, "ä"},
		"split in four":            {[]string{"\xf0", "\x9f", "\x9a", "\x97."}, "🚗."},
		"split C1":                 {[]string{"\xc2", "\x9b1m"}, `\u009b1m`},
		"split bidi":               {[]string{"\xe2\x80", "\xae"}, `\u202e`},
		"split and never complete": {[]string{"\xe2\x80", "x"}, `\ufffd\ufffdx`},
		"nothing":                  {[]string{"", "", ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var to bytes.Buffer
			w := &plainWriter{to: &to}
			for _, text := range c.writes {
				if n, err := io.WriteString(w, text); n != len(text) || err != nil {
					t.Errorf("Write(%q) = %d, %v", text, n, err)
				}
			}
			if diff := cmp.Diff(c.want, to.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestBothStreamsAreGuarded(t *testing.T) {
	var out, errs bytes.Buffer
	streams := Streams{Out: &out, Err: &errs}.clean()
	fmt.Fprint(streams.Out, evil)
	fmt.Fprint(streams.Err, evil)
	if out.Len() == 0 || steering(out.String()) || errs.String() != out.String() {
		t.Errorf("stdout %q, stderr %q", &out, &errs)
	}
}

// However a text is cut into writes, the same comes out.
func TestPlainWriterCuts(t *testing.T) {
	text := "a\x1bä\u009b\u202e🚗\xff大\n"
	var whole bytes.Buffer
	if _, err := io.WriteString(&plainWriter{to: &whole}, text); err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		for j := i; j < len(text); j++ {
			var cut bytes.Buffer
			w := &plainWriter{to: &cut}
			for _, part := range []string{text[:i], text[i:j], text[j:]} {
				if _, err := io.WriteString(w, part); err != nil {
					t.Fatal(err)
				}
			}
			if cut.String() != whole.String() {
				t.Fatalf("cut at %d and %d: %q, want %q", i, j, &cut, &whole)
			}
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// What could not be printed was not done.
func TestBrokenOutput(t *testing.T) {
	r := startRegistry(t)
	image, catalog := r.host+"/team/image:1", r.host+"/team/catalog"
	if _, err := pushSample("disk", image, samples.Build{Architectures: []string{"arm64"}}); err != nil {
		t.Fatal(err)
	}
	env := homeEnv(t)
	if code, _, stderr := run(t, env, "catalog", "publish", image, "--catalog", catalog); code != 0 {
		t.Fatal(stderr)
	}
	for _, args := range [][]string{
		{"catalog", "list"}, {"catalog", "get", "image"}, {"catalog", "history"}, {"catalog", "publish", image},
		{"catalog", "remove", "image", "--force"}, {"version"}, {"--help"}, {"completion", "bash"},
	} {
		formats := []string{""}
		if args[0] == "catalog" && args[1] != "remove" {
			formats = outputs
		}
		for _, format := range formats {
			all := args
			if args[0] == "catalog" {
				all = append(all[:len(all):len(all)], "--catalog", catalog)
			}
			if format != "" {
				all = append(all[:len(all):len(all)], "-o", format)
			}
			var errs bytes.Buffer
			code := Main(t.Context(), all, Streams{
				In: strings.NewReader(""), Out: broken{}, Err: &errs, Now: time.Now,
				Getenv: func(name string) string { return env[name] },
			})
			if code != exitFailure || !strings.Contains(errs.String(), "no space left on device") {
				t.Errorf("caib %v: exit code %d: %s", all, code, &errs)
			}
		}
	}
}

// Shells get exactly what cobra writes for them: the guard finds nothing to
// replace.
func TestCompletionScriptsAreWhole(t *testing.T) {
	for shell, generate := range map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		"zsh":        func(c *cobra.Command, w io.Writer) error { return c.GenZshCompletion(w) },
		"fish":       func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
		"powershell": func(c *cobra.Command, w io.Writer) error { return c.GenPowerShellCompletionWithDesc(w) },
	} {
		var want bytes.Buffer
		if err := generate(newRoot(&app{system: System()}), &want); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, nil, "completion", shell)
		if code != 0 || stderr != "" || stdout != want.String() {
			t.Errorf("%s: exit code %d, %s%s", shell, code, stderr, cmp.Diff(want.String(), stdout))
		}
	}
}

func TestAge(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", time.Second - 1: "0s", time.Second: "1s", 119 * time.Second: "119s",
		2 * time.Minute: "2m", 119*time.Minute + 59*time.Second: "119m", 2 * time.Hour: "2h", 47 * time.Hour: "47h",
		2 * day: "2d", 729 * day: "729d", 730 * day: "2y", 3650 * day: "10y", 1<<63 - 1: "292y",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB",
		1<<20 - 1: "1.0 MiB", 10 << 30: "10.0 GiB", 1 << 40: "1.0 TiB", 1<<53 - 1: "8.0 PiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("size(%d) = %s, want %s", bytes, got, want)
		}
	}
}

// Columns are as wide as their widest cell, an empty cell is a dash, and no
// cell leaves its row.
func TestRows(t *testing.T) {
	var out bytes.Buffer
	a := &app{system: Streams{Out: &out, Err: io.Discard}.clean()}
	err := a.rows([]string{"NAME", "TARGET", "IMAGE"}, [][]string{
		{"autosd", "", "registry.example.com/a:1"},
		{"b", "rpi4,qemu", ""},
		{"c\td", "e\nf", "g"},
	})
	want := `NAME     TARGET      IMAGE
autosd   -           registry.example.com/a:1
b        rpi4,qemu   -
c d      e f         g
`
	if diff := cmp.Diff(want, out.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := &app{system: Streams{Now: func() time.Time { return now }}}
	for text, want := range map[string]time.Time{
		"":                               {},
		"2026-02-01":                     time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		"2026-02-01T10:00:00Z":           time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC),
		"2026-02-01T10:00:00+02:00":      time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC),
		"2026-02-01T10:00:00.123Z":       time.Date(2026, 2, 1, 10, 0, 0, 123e6, time.UTC),
		"2026-02-01T10:00:00.123456789Z": time.Date(2026, 2, 1, 10, 0, 0, 123456789, time.UTC),
		"48h":                            now.Add(-48 * time.Hour),
		"1h30m":                          now.Add(-90 * time.Minute),
		"3d":                             now.AddDate(0, 0, -3),
		"0s":                             now,
	} {
		if got, err := a.moment("as-of", text); err != nil || !got.Equal(want) {
			t.Errorf("moment(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-1h", "now", "2026", "2026-02-30", "2026-02-01T10:00:00", "2026-02-01 10:00:00Z", "10", " 48h", "1e9h", "3D", "48h\n"} {
		got, err := a.moment("as-of", text)
		if code, _ := exitCode(err); code != exitInvalid {
			t.Errorf("moment(%q) = %v, %v, want an error of exit code %d", text, got, err, exitInvalid)
		}
	}
}

// The first that has a say decides: an answer that nobody could give weighs
// more than what the others said.
func TestExitCodeOfSeveralErrors(t *testing.T) {
	of := func(code int) error {
		for _, row := range exits {
			if row.code == code && row.word == "interrupted" {
				return errInterrupted
			}
			if kind := entry.Kind(row.word); row.code == code && kind != nil {
				return kind
			}
		}
		return errors.New("any other")
	}
	for _, c := range []struct {
		codes []int
		want  int
	}{
		{[]int{exitNotFound, exitUnreachable}, exitUnreachable},
		{[]int{exitNotFound, exitUnauthorized}, exitUnauthorized},
		{[]int{exitNotFound, exitTimeout}, exitTimeout},
		{[]int{exitNotFound, exitFailure}, exitNotFound},
		{[]int{exitFailure}, exitFailure},
	} {
		var err error
		for _, code := range c.codes {
			err = errors.Join(err, fmt.Errorf("operation: %w", of(code)))
		}
		if got, word := exitCode(err); got != c.want || word == "" {
			t.Errorf("%v: exit code %d (%s), want %d", c.codes, got, word, c.want)
		}
	}
}
