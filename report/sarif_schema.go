package report

import (
	"strings"
	"sync"
)

// sarifSchema says, for each object of SARIF 2.1.0, which members it has: what Lint checks and what the
// writer must know to renumber references. The notation of a member is name:TYPE, a "!" behind it means that
// it is required:
//
//	s string · u URI · t date-time · i integer · n number · b boolean · p property bag
//	=a|b one of these strings · @x object x · [x] list of x · {x} map of x
//	>list integer that counts into a list of the run
//
// Every object also may have properties. Some objects stand here more than once because the place decides
// what their index counts into; "name/role" is checked as name.
const sarifSchema = `
log $schema:u version!:=2.1.0 runs!:[run] inlineExternalProperties:[externalProperties]
address absoluteAddress:i relativeAddress:i length:i kind:s name:s fullyQualifiedName:s offsetFromParent:i index:>addresses parentIndex:>addresses
artifact description:@message location:@artifactLocation parentIndex:>artifacts offset:i length:i roles:[=analysisTarget|attachment|responseFile|resultFile|standardStream|tracedFile|unmodified|modified|added|deleted|renamed|uncontrolled|driver|extension|translation|taxonomy|policy|referencedOnCommandLine|memoryContents|directory|userSpecifiedConfiguration|toolSpecifiedConfiguration|debugOutputFile|conversionSource|externalPropertyFile|repositoryRoot] mimeType:s contents:@artifactContent encoding:s sourceLanguage:s hashes:{s} lastModifiedTimeUtc:t
artifactChange artifactLocation!:@artifactLocation replacements!:[replacement]
artifactContent text:s binary:s rendered:@multiformatMessageString
artifactLocation uri:u uriBaseId:s index:>artifacts description:@message
attachment description:@message artifactLocation!:@artifactLocation regions:[region] rectangles:[rectangle]
codeFlow message:@message threadFlows!:[threadFlow]
configurationOverride configuration!:@reportingConfiguration descriptor!:@reportingDescriptorReference/rule
conversion tool!:@tool/foreign invocation:@invocation analysisToolLogFiles:[artifactLocation]
edge id!:s label:@message sourceNodeId!:s targetNodeId!:s
edgeTraversal edgeId!:s message:@message finalState:{multiformatMessageString} stepOverEdgeCount:i
exception kind:s message:s stack:@stack innerExceptions:[exception]
externalProperties schema:u version:=2.1.0 guid:s runGuid:s conversion:@conversion graphs:[graph] externalizedProperties:p artifacts:[artifact] invocations:[invocation] logicalLocations:[logicalLocation] threadFlowLocations:[threadFlowLocation] results:[result] taxonomies:[toolComponent] driver:@toolComponent extensions:[toolComponent] policies:[toolComponent] translations:[toolComponent] addresses:[address] webRequests:[webRequest] webResponses:[webResponse]
externalPropertyFileReference location:@artifactLocation guid:s itemCount:i
externalPropertyFileReferences conversion:@externalPropertyFileReference graphs:[externalPropertyFileReference] externalizedProperties:@externalPropertyFileReference artifacts:[externalPropertyFileReference] invocations:[externalPropertyFileReference] logicalLocations:[externalPropertyFileReference] threadFlowLocations:[externalPropertyFileReference] results:[externalPropertyFileReference] taxonomies:[externalPropertyFileReference] driver:@externalPropertyFileReference extensions:[externalPropertyFileReference] policies:[externalPropertyFileReference] translations:[externalPropertyFileReference] addresses:[externalPropertyFileReference] webRequests:[externalPropertyFileReference] webResponses:[externalPropertyFileReference]
fix description:@message artifactChanges!:[artifactChange]
graph description:@message nodes:[node] edges:[edge]
graphTraversal runGraphIndex:>graphs resultGraphIndex:i description:@message initialState:{multiformatMessageString} immutableState:{multiformatMessageString} edgeTraversals:[edgeTraversal]
invocation commandLine:s arguments:[s] responseFiles:[artifactLocation] startTimeUtc:t endTimeUtc:t exitCode:i ruleConfigurationOverrides:[configurationOverride] notificationConfigurationOverrides:[configurationOverride] toolExecutionNotifications:[notification] toolConfigurationNotifications:[notification] exitCodeDescription:s exitSignalName:s exitSignalNumber:i processStartFailureMessage:s executionSuccessful!:b machine:s account:s processId:i executableLocation:@artifactLocation workingDirectory:@artifactLocation environmentVariables:{s} stdin:@artifactLocation stdout:@artifactLocation stderr:@artifactLocation stdoutStderr:@artifactLocation
location id:i physicalLocation:@physicalLocation logicalLocations:[logicalLocation] message:@message annotations:[region] relationships:[locationRelationship]
locationRelationship target!:i kinds:[s] description:@message
logicalLocation name:s index:>logicalLocations fullyQualifiedName:s decoratedName:s parentIndex:>logicalLocations kind:s
message text:s markdown:s id:s arguments:[s]
multiformatMessageString text!:s markdown:s
node id!:s label:@message location:@location children:[node]
notification locations:[location] message!:@message level:=none|note|warning|error threadId:i timeUtc:t exception:@exception descriptor:@reportingDescriptorReference/notification associatedRule:@reportingDescriptorReference/rule
physicalLocation address:@address artifactLocation:@artifactLocation region:@region contextRegion:@region
rectangle top:n left:n bottom:n right:n message:@message
region startLine:i startColumn:i endLine:i endColumn:i charOffset:i charLength:i byteOffset:i byteLength:i snippet:@artifactContent message:@message sourceLanguage:s
replacement deletedRegion!:@region insertedContent:@artifactContent
reportingConfiguration enabled:b level:=none|note|warning|error rank:n parameters:p
reportingDescriptor id!:s deprecatedIds:[s] guid:s deprecatedGuids:[s] name:s deprecatedNames:[s] shortDescription:@multiformatMessageString fullDescription:@multiformatMessageString messageStrings:{multiformatMessageString} defaultConfiguration:@reportingConfiguration helpUri:u help:@multiformatMessageString relationships:[reportingDescriptorRelationship]
reportingDescriptorReference/rule id:s index:>rules guid:s toolComponent:@toolComponentReference/extension
reportingDescriptorReference/notification id:s index:>notifications guid:s toolComponent:@toolComponentReference/extension
reportingDescriptorReference/taxon id:s index:i guid:s toolComponent:@toolComponentReference/taxonomy
reportingDescriptorReference/related id:s index:>rules guid:s toolComponent:@toolComponentReference/taxonomy
reportingDescriptorRelationship target!:@reportingDescriptorReference/related kinds:[s] description:@message
result ruleId:s ruleIndex:>rules rule:@reportingDescriptorReference/rule kind:=notApplicable|pass|fail|review|open|informational level:=none|note|warning|error message!:@message analysisTarget:@artifactLocation locations:[location] guid:s correlationGuid:s occurrenceCount:i partialFingerprints:{s} fingerprints:{s} stacks:[stack] codeFlows:[codeFlow] graphs:[graph] graphTraversals:[graphTraversal] relatedLocations:[location] suppressions:[suppression] baselineState:=new|unchanged|updated|absent rank:n attachments:[attachment] hostedViewerUri:u workItemUris:[u] provenance:@resultProvenance fixes:[fix] taxa:[reportingDescriptorReference/taxon] webRequest:@webRequest webResponse:@webResponse
resultProvenance firstDetectionTimeUtc:t lastDetectionTimeUtc:t firstDetectionRunGuid:s lastDetectionRunGuid:s invocationIndex:>invocations conversionSources:[physicalLocation]
run tool!:@tool invocations:[invocation] conversion:@conversion language:s versionControlProvenance:[versionControlDetails] originalUriBaseIds:{artifactLocation} artifacts:[artifact] logicalLocations:[logicalLocation] graphs:[graph] results:[result] automationDetails:@runAutomationDetails runAggregates:[runAutomationDetails] baselineGuid:s redactionTokens:[s] defaultEncoding:s defaultSourceLanguage:s newlineSequences:[s] columnKind:=utf16CodeUnits|unicodeCodePoints externalPropertyFileReferences:@externalPropertyFileReferences threadFlowLocations:[threadFlowLocation] taxonomies:[toolComponent] addresses:[address] translations:[toolComponent] policies:[toolComponent] webRequests:[webRequest] webResponses:[webResponse] specialLocations:@specialLocations
runAutomationDetails description:@message id:s guid:s correlationGuid:s
specialLocations displayBase:@artifactLocation
stack message:@message frames!:[stackFrame]
stackFrame location:@location module:s threadId:i parameters:[s]
suppression guid:s kind!:=inSource|external status:=accepted|underReview|rejected justification:s location:@location
threadFlow id:s message:@message initialState:{multiformatMessageString} immutableState:{multiformatMessageString} locations!:[threadFlowLocation]
threadFlowLocation index:>threadFlowLocations location:@location stack:@stack kinds:[s] taxa:[reportingDescriptorReference/taxon] module:s state:{multiformatMessageString} nestingLevel:i executionOrder:i executionTimeUtc:t importance:=important|essential|unimportant webRequest:@webRequest webResponse:@webResponse
tool driver!:@toolComponent extensions:[toolComponent]
tool/foreign driver!:p extensions:p
toolComponent guid:s name!:s organization:s product:s productSuite:s shortDescription:@multiformatMessageString fullDescription:@multiformatMessageString fullName:s version:s semanticVersion:s dottedQuadFileVersion:s releaseDateUtc:s downloadUri:u informationUri:u globalMessageStrings:{multiformatMessageString} notifications:[reportingDescriptor] rules:[reportingDescriptor] taxa:[reportingDescriptor] locations:[artifactLocation] language:s contents:[=localizedData|nonLocalizedData] isComprehensive:b localizedDataSemanticVersion:s minimumRequiredLocalizedDataSemanticVersion:s associatedComponent:@toolComponentReference/any translationMetadata:@translationMetadata supportedTaxonomies:[toolComponentReference/taxonomy]
toolComponentReference/extension name:s index:>extensions guid:s
toolComponentReference/taxonomy name:s index:>taxonomies guid:s
toolComponentReference/any name:s index:i guid:s
translationMetadata name!:s fullName:s shortDescription:@multiformatMessageString fullDescription:@multiformatMessageString downloadUri:u informationUri:u
versionControlDetails repositoryUri!:u revisionId:s branch:s revisionTag:s asOfTimeUtc:t mappedTo:@artifactLocation
webRequest index:>webRequests protocol:s version:s target:s method:s headers:{s} parameters:{s} body:@artifactContent
webResponse index:>webResponses protocol:s version:s statusCode:i reasonPhrase:s headers:{s} body:@artifactContent noResponseReceived:b
`

// objectType is one object of the schema.
type objectType struct {
	name     string
	members  map[string]*memberType
	required []string
	// deep says that somewhere in it stands something the writer may change: an index or a location.
	deep bool
}

// memberType is the type of a member: kind as in the notation, with the brackets of lists and maps in form.
type memberType struct {
	form   byte // '[', '{' or 0
	kind   byte // s u t i n b p = @ >
	object *objectType
	enum   []string
	list   string // what '>' counts into
}

var sarifTypes = sync.OnceValue(func() map[string]*objectType {
	types := map[string]*objectType{}
	lines := strings.Split(strings.TrimSpace(sarifSchema), "\n")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		types[name] = &objectType{name: name, members: map[string]*memberType{"properties": {kind: 'p'}}}
	}
	for _, line := range lines {
		name, members, _ := strings.Cut(line, " ")
		for field := range strings.FieldsSeq(members) {
			member, notation, _ := strings.Cut(field, ":")
			m := parseMemberType(notation, types)
			member, required := strings.CutSuffix(member, "!")
			types[name].members[member] = m
			if required {
				types[name].required = append(types[name].required, member)
			}
		}
	}
	// Deep is what reaches an index or a location; repeat until nothing changes, since types refer to
	// themselves.
	for changed := true; changed; {
		changed = false
		for _, t := range types {
			for _, m := range t.members {
				if !t.deep && (m.kind == '>' || t.name == "artifactLocation" || m.object != nil && m.object.deep) {
					t.deep, changed = true, true
				}
			}
		}
	}
	return types
})

func parseMemberType(notation string, types map[string]*objectType) *memberType {
	m := &memberType{}
	if c := notation[0]; c == '[' || c == '{' {
		m.form = c
		notation = notation[1 : len(notation)-1]
		if len(notation) > 1 && notation[0] != '=' {
			notation = "@" + notation
		}
	}
	m.kind = notation[0]
	switch m.kind {
	case '=':
		m.enum = strings.Split(notation[1:], "|")
	case '@':
		m.object = types[notation[1:]]
	case '>':
		m.list = notation[1:]
	}
	return m
}
