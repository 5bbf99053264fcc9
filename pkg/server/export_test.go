package server

// Source is what a server asks of a catalog, for tests that stand between the two.
type Source = source

// NewBetween is New with something between the server and each catalog.
func NewBetween(options Options, between func(Source) Source) (*Server, error) {
	sources := sourcesOf(options.Catalogs)
	for n, c := range sources {
		sources[n] = between(c)
	}
	return newServer(options, sources)
}

// OpenTokens opens a token file.
var OpenTokens = openTokens
