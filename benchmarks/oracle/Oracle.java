import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.parser.DataFormatException;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import ca.uhn.fhir.validation.ValidationOptions;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r5.utils.validation.constants.BestPracticeWarningLevel;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/**
 * Asks the reference validator for R4, without any network: lines {"name", "text" (a resource), "profiles"} in, lines
 * {"name", "valid", "issues"} out. Arguments are folders whose .json files are definitions (the "package" folder of a
 * FHIR package).
 */
public final class Oracle {
  private static final List<String> DEFINITIONS = List.of("StructureDefinition", "ValueSet", "CodeSystem", "Questionnaire");
  private static final ObjectMapper JSON = new ObjectMapper();

  private Oracle() {}

  public static void main(String[] folders) throws IOException {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    FhirContext context = FhirContext.forR4();
    PrePopulatedValidationSupport loaded = new PrePopulatedValidationSupport(context);
    for (String folder : folders) {
      load(context, loaded, Path.of(folder));
    }
    ValidationSupportChain chain = new ValidationSupportChain(
        new DefaultProfileValidationSupport(context),
        loaded,
        new CommonCodeSystemsTerminologyService(context),
        new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context));
    FhirInstanceValidator rules = new FhirInstanceValidator(chain);
    // The reference implementation's own policy, with the profiles that the codes of an Observation imply.
    rules.setValidatorPolicyAdvisor(
        new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of()));
    rules.setErrorForUnknownProfiles(false);
    rules.setBestPracticeWarningLevel(BestPracticeWarningLevel.Ignore);
    FhirValidator validator = context.newValidator().registerValidatorModule(rules);

    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(JSON.writeValueAsString(judged(validator, JSON.readTree(line))));
    }
  }

  private static ObjectNode judged(FhirValidator validator, JsonNode question) throws IOException {
    ObjectNode answer = JSON.createObjectNode();
    answer.set("name", question.get("name"));
    ArrayNode issues = answer.putArray("issues");
    boolean valid = true;
    try {
      ValidationOptions options = new ValidationOptions();
      question.path("profiles").forEach(profile -> options.addProfile(profile.asText()));
      // The text of the resource as it came in: a tree of numbers would lose the digits of decimals.
      for (SingleValidationMessage message :
          validator.validateWithResult(question.get("text").asText(), options).getMessages()) {
        String severity = message.getSeverity().getCode();
        valid &= !severity.equals("error") && !severity.equals("fatal");
        issues.addObject()
            .put("severity", severity)
            .put("expression", message.getLocationString())
            .put("id", message.getMessageId())
            .put("text", message.getMessage());
      }
    } catch (RuntimeException | StackOverflowError failure) {
      // What it can't even read is not valid; the issue tells that it gave up.
      valid = false;
      issues.addObject().put("severity", "fatal").put("id", "exception").put("text", String.valueOf(failure));
    }
    return answer.put("valid", valid);
  }

  private static void load(FhirContext context, PrePopulatedValidationSupport loaded, Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".json")).sorted().toList()) {
        String text = Files.readString(file);
        if (DEFINITIONS.contains(JSON.readTree(text).path("resourceType").asText())) {
          try {
            IBaseResource definition = context.newJsonParser().parseResource(text);
            loaded.addResource(definition);
          } catch (DataFormatException unreadable) {
            System.err.println(file + ": " + unreadable.getMessage());
          }
        }
      }
    }
  }
}
