package entry

// Condition is one statement about the state of an entry.
type Condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"` // "True", "False" or "Unknown"
	Reason             string `json:"reason"` // one word in CamelCase
	Message            string `json:"message,omitempty"`
	LastTransitionTime Time   `json:"lastTransitionTime"`
}
