package contract

import "reflect"

// Description says what the data is for.
type Description struct {
	Usage                    string                    `odcs:"usage"`
	Purpose                  string                    `odcs:"purpose"`
	Limitations              string                    `odcs:"limitations"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`
	// Other holds what else is written there: ODCS leaves this mapping open.
	Other map[string]any `odcs:",rest"`
}

// AuthoritativeDefinition links to a fuller account.
type AuthoritativeDefinition struct {
	ID          string `odcs:"id,id"`
	URL         string `odcs:"url,required"`
	Type        string `odcs:"type,required"`
	Description string `odcs:"description"`
}

// CustomProperty is a key and a value that ODCS doesn't define.
type CustomProperty struct {
	ID       string `odcs:"id,id"`
	Property string `odcs:"property,required31"`
	// Value is nil, bool, int64, uint64, float64, string, []any or map[string]any.
	Value       any    `odcs:"value,required31"`
	Description string `odcs:"description"`
}

// Server is a place where the data lies.
type Server struct {
	located
	ID               string           `odcs:"id,id"`
	Server           string           `odcs:"server,required"`
	Type             string           `odcs:"type,required"`
	Description      string           `odcs:"description"`
	Environment      string           `odcs:"environment"`
	Roles            []Role           `odcs:"roles"`
	CustomProperties []CustomProperty `odcs:"customProperties"`
	// Settings are the keys that belong to the type, such as host or location.
	Settings map[string]any `odcs:",rest"`
}

// Role is an access role.
type Role struct {
	ID                   string           `odcs:"id,id"`
	Role                 string           `odcs:"role,required"`
	Description          string           `odcs:"description"`
	Access               string           `odcs:"access"`
	FirstLevelApprovers  string           `odcs:"firstLevelApprovers"`
	SecondLevelApprovers string           `odcs:"secondLevelApprovers"`
	CustomProperties     []CustomProperty `odcs:"customProperties"`
}

// SupportItem is a channel where people get help.
type SupportItem struct {
	ID               string           `odcs:"id,id"`
	Channel          string           `odcs:"channel,required"`
	URL              string           `odcs:"url"`
	Description      string           `odcs:"description"`
	Tool             string           `odcs:"tool"`
	Scope            string           `odcs:"scope"`
	InvitationURL    string           `odcs:"invitationUrl"`
	CustomProperties []CustomProperty `odcs:"customProperties"`
}

// Price is what the data costs.
type Price struct {
	ID            string  `odcs:"id,id"`
	PriceAmount   *Number `odcs:"priceAmount"`
	PriceCurrency string  `odcs:"priceCurrency"`
	PriceUnit     string  `odcs:"priceUnit"`
}

// Team owns the data.
type Team struct {
	ID                       string                    `odcs:"id,id"`
	Name                     string                    `odcs:"name"`
	Description              string                    `odcs:"description"`
	Members                  []TeamMember              `odcs:"members"`
	Tags                     []string                  `odcs:"tags"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
}

// decode also takes the bare list of members that v3.0.x has.
func (t *Team) decode(d *decoder, n *node) {
	if n.shape == isList {
		d.list(n, reflect.ValueOf(&t.Members).Elem())
		return
	}
	d.mapping(n, reflect.ValueOf(t).Elem())
}

// TeamMember is one person of a team. Dates are as written.
type TeamMember struct {
	ID                       string                    `odcs:"id,id"`
	Username                 string                    `odcs:"username,required31"`
	Name                     string                    `odcs:"name"`
	Description              string                    `odcs:"description"`
	Role                     string                    `odcs:"role"`
	DateIn                   string                    `odcs:"dateIn"`
	DateOut                  string                    `odcs:"dateOut"`
	ReplacedByUsername       string                    `odcs:"replacedByUsername"`
	Tags                     []string                  `odcs:"tags"`
	CustomProperties         []CustomProperty          `odcs:"customProperties"`
	AuthoritativeDefinitions []AuthoritativeDefinition `odcs:"authoritativeDefinitions"`
}

// SLAProperty is one promise about the service, such as latency or retention.
type SLAProperty struct {
	located
	ID       string `odcs:"id,id"`
	Property string `odcs:"property,required"`
	// Value and ValueExt are nil, bool, int64, uint64, float64 or string.
	Value       any    `odcs:"value,required"`
	ValueExt    any    `odcs:"valueExt"`
	Unit        string `odcs:"unit"`
	Element     string `odcs:"element"`
	Driver      string `odcs:"driver"`
	Description string `odcs:"description"`
	Scheduler   string `odcs:"scheduler"`
	Schedule    string `odcs:"schedule"`
}
