package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"
)

//go:embed templates
var templates embed.FS

// Pages writes pages. It is safe for concurrent use.
type Pages struct {
	base   string
	assets map[string]*asset
	parsed map[string]*template.Template
}

// Frame is what every page has around its own part.
type Frame struct {
	// Stale is why what is shown may not be current; "" where it is.
	Stale string
	// Catalogs are the references of what is served.
	Catalogs []string
	// SignedIn says that the reader gave a token, which they may take back.
	SignedIn bool
}

// New makes pages for a server that browsers know below a path: "", or one that begins
// with a slash and does not end with one.
func New(base string) (*Pages, error) {
	p := &Pages{base: base, assets: map[string]*asset{}, parsed: map[string]*template.Template{}}
	if err := p.loadAssets(); err != nil {
		return nil, err
	}
	functions := template.FuncMap{
		"link": p.link, "asset": p.assetPath, "base": func() string { return base },
		"size": size, "count": count, "moment": moment, "iso": iso, "short": short, "cut": cut,
		"phase": phaseWords, "verdict": verdictWords, "condition": conditionWords,
	}
	for _, name := range []string{"list", "entry", "changes", "problem", "signin", "docs"} {
		parsed, err := template.New("frame.html").Funcs(functions).ParseFS(templates, "templates/frame.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		p.parsed[name] = parsed
	}
	return p, nil
}

// link is the path of a page as browsers know it.
func (p *Pages) link(parts ...string) string {
	path := p.base
	for n, part := range parts {
		if n%2 == 1 {
			part = url.PathEscape(part)
		}
		path += part
	}
	return path
}

// write fills in one of the templates.
func (p *Pages) write(name string, data any) ([]byte, error) {
	var html bytes.Buffer
	if err := p.parsed[name].Execute(&html, data); err != nil {
		return nil, fmt.Errorf("page %s: %w", name, err)
	}
	return html.Bytes(), nil
}

// policy is what a page may load and do, and who may show it: everything comes from
// the server itself, and nothing that stands in the page is run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Headers sets the headers that browsers protect a page by. Over TLS they are told to
// come back by TLS.
func Headers(header http.Header, overTLS bool) {
	for key, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "same-origin",
		"Permissions-Policy":           "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		header.Set(key, value)
	}
	if overTLS {
		header.Set("Strict-Transport-Security", fmt.Sprintf("max-age=%d", int((365*24*time.Hour).Seconds())))
	}
}
