package api

// Readiness is the answer of /readyz: its status is 200 if there is an index that
// may be shown.
type Readiness struct {
	Ready    bool               `json:"ready"`
	Stale    bool               `json:"stale"` // served from the cache, or not read lately
	Entries  int                `json:"entries"`
	Age      *float64           `json:"ageSeconds"` // since the log was last read; null: it was not read yet
	Catalogs []CatalogReadiness `json:"catalogs"`
	Policy   *PolicyReadiness   `json:"policy,omitempty"` // null without one
}

// CatalogReadiness is how current one of the catalogs is.
type CatalogReadiness struct {
	Catalog string   `json:"catalog"`
	Age     *float64 `json:"ageSeconds"`
	Error   string   `json:"error,omitempty"` // the code of what the last read met
}

// PolicyReadiness is which trust policy a server is under.
type PolicyReadiness struct {
	Hash  string `json:"hash"`            // of the one that was read last
	Error string `json:"error,omitempty"` // the code of why that is not the one of now
}
