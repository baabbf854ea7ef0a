//! Every manifest of the environments on AWS, byte for byte, and what must hold for all of them.

use std::path::Path;

use contracts::Region;
use infra::environment::Environment;
use infra::kubernetes::{Delivery, Folder, Manifest, files, image_repository, manifests, placed};
use infra::system;
use serde_json::{Value as Json, json};

const ON_AWS: [(&str, &str); 2] = [
    ("staging", include_str!("../../environments/staging.toml")),
    ("production", include_str!("../../environments/production.toml")),
];

fn environment(name: &str, text: &str) -> Environment {
    Environment::parse(&format!("{name}.toml"), text).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:#?}"))
}

/// Calls `check` for each environment on AWS and each of its regions.
fn for_each(check: impl Fn(&Environment, &Region, &[Manifest])) {
    for (name, text) in ON_AWS {
        let environment = environment(name, text);
        for region in environment.regions() {
            check(&environment, region, &manifests(&environment, region));
        }
    }
}

/// The only object of a kind that is applied.
fn only<'a>(manifests: &'a [Manifest], kind: &str) -> &'a Json {
    let applied = manifests.iter().filter(|manifest| manifest.delivery == Delivery::Applied);
    let found: Vec<_> = applied.filter(|manifest| manifest.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    &found[0].value
}

fn pod(manifests: &[Manifest]) -> &Json {
    &only(manifests, "Deployment")["spec"]["template"]
}

#[test]
fn every_file() {
    for (name, text) in ON_AWS {
        let environment = environment(name, text);
        for region in environment.regions() {
            for (path, text) in files(&environment, region) {
                let (folder, file) = path.split_once('/').expect("a folder and a file");
                let mut settings = insta::Settings::clone_current();
                settings.set_snapshot_path(Path::new("manifests").join(name).join(region.as_str()).join(folder));
                settings.set_prepend_module_to_snapshot(false);
                settings.set_omit_expression(true);
                settings.bind(|| insta::assert_snapshot!(file, text));
            }
        }
    }
}

#[test]
fn the_local_platform_has_no_cluster() {
    let sandbox = environment("sandbox", include_str!("../../environments/sandbox.toml"));
    assert_eq!(files(&sandbox, sandbox.primary()), []);
}

#[test]
fn names_are_given_once_and_namespaces_are_there_first() {
    for_each(|_, _, manifests| {
        for (index, manifest) in manifests.iter().enumerate() {
            let earlier = &manifests[..index];
            let identity = |one: &Manifest| (one.delivery, one.kind.clone(), one.namespace.clone(), one.name.clone());
            assert!(!earlier.iter().any(|other| identity(other) == identity(manifest)), "{:?}", identity(manifest));
            let file = |one: &Manifest| (one.folder, one.file.clone());
            assert!(!earlier.iter().any(|other| file(other) == file(manifest)), "{:?}", file(manifest));
            if let Some(namespace) = &manifest.namespace {
                let declared = earlier.iter().any(|other| other.kind == "Namespace" && other.name == *namespace);
                assert!(declared, "{} {}", manifest.kind, manifest.name);
            }
        }
    });
}

#[test]
fn what_limits_deployments_is_not_theirs() {
    for_each(|_, _, manifests| {
        let limits = ["LimitRange", "Namespace", "ResourceQuota", "Role", "RoleBinding"];
        for manifest in manifests.iter().filter(|manifest| manifest.delivery == Delivery::Applied) {
            assert_eq!(
                manifest.folder == Folder::Bootstrap,
                limits.contains(&manifest.kind.as_str()),
                "{}",
                manifest.kind
            );
        }
    });
}

/// The restricted level of the pod security standards, which the namespace enforces, and what goes beyond it.
#[test]
fn the_pod_is_restricted() {
    for_each(|_, _, manifests| {
        let spec = &pod(manifests)["spec"];
        let of_pod = &spec["securityContext"];
        assert_eq!((&of_pod["runAsNonRoot"], &of_pod["runAsUser"]), (&json!(true), &json!(1001)));
        assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
        for container in spec["containers"].as_array().expect("containers") {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
            assert!(container["resources"]["limits"]["memory"].is_string());
            assert!(container["resources"]["requests"]["cpu"].is_string());
        }
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert!(spec.get("tolerations").is_none(), "spot nodes are not for the consumer");
        let labels = &only(manifests, "Namespace")["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    });
}

/// The image's user is the one that the manifests ask for, so that its files are readable whoever builds it.
#[test]
fn the_image_and_the_pod_agree_on_the_user() {
    let image = include_str!("../../consumer/Dockerfile");
    let instruction = |name: &str| -> Vec<&str> {
        let lines = image.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.collect()
    };
    let [user] = instruction("USER")[..] else { panic!("one user") };
    let ports = instruction("EXPOSE");
    for_each(|_, _, manifests| {
        let spec = &pod(manifests)["spec"];
        let of_pod = &spec["securityContext"];
        assert_eq!(format!("{}:{}", of_pod["runAsUser"], of_pod["runAsGroup"]), user);
        let port = &spec["containers"][0]["ports"][0]["containerPort"];
        assert_eq!(ports, [port.to_string()]);
        // The program is all there is: nothing in the manifests names another command.
        assert!(spec["containers"][0].get("command").is_none());
    });
    assert_eq!(instruction("ENTRYPOINT"), [r#"["/consumer"]"#]);
    assert!(instruction("CMD").is_empty());
    // Nothing is written, and nothing else is owned by the user.
    assert!(!image.contains("--chown") && instruction("VOLUME").is_empty());
}

/// With mutual TLS the secret's members become the files that the consumer looks for.
#[test]
fn a_clients_certificate_is_mounted() {
    let text = ON_AWS[1].1.replace("security = \"sasl_ssl\"", "security = \"mtls\"\nprivate_ca = true");
    let environment = environment("production", &text);
    let manifests = manifests(&environment, environment.primary());
    let settings = &only(&manifests, "ConfigMap")["data"];
    assert_eq!(
        (&settings["KAFKA_SECURITY"], &settings["KAFKA_CA_FILE"]),
        (&json!("mtls"), &json!("/var/run/secrets/kafka/ca.pem"))
    );
    let class = manifests.iter().find(|manifest| manifest.name == "kafka-credentials").expect("a class");
    let objects = class.value["spec"]["parameters"]["objects"].as_str().expect("a text");
    for file in ["certificate.pem", "key.pem", "ca.pem"] {
        assert!(objects.contains(file), "{file} in {objects}");
    }
    assert!(!objects.contains("password"), "{objects}");
}

#[test]
fn every_selector_meets_the_pod() {
    for_each(|_, _, manifests| {
        let labels = pod(manifests)["metadata"]["labels"].as_object().expect("labels");
        let constraints = pod(manifests)["spec"]["topologySpreadConstraints"].as_array().expect("constraints");
        let policy = manifests
            .iter()
            .find(|manifest| manifest.file == "network-policy-consumer.yaml")
            .expect("the consumer's network policy");
        let mut selectors = vec![
            &only(manifests, "Deployment")["spec"]["selector"],
            &only(manifests, "PodDisruptionBudget")["spec"]["selector"],
            &only(manifests, "PodMonitor")["spec"]["selector"],
            &policy.value["spec"]["podSelector"],
        ];
        selectors.extend(constraints.iter().map(|constraint| &constraint["labelSelector"]));
        for selector in selectors {
            let wanted = selector["matchLabels"].as_object().expect("labels");
            assert!(!wanted.is_empty());
            for (key, value) in wanted {
                assert_eq!(labels.get(key), Some(value), "{key}");
            }
        }
    });
}

#[test]
fn objects_that_name_each_other_agree() {
    for_each(|_, _, manifests| {
        let spec = &pod(manifests)["spec"];
        let container = &spec["containers"][0];
        assert_eq!(spec["serviceAccountName"], only(manifests, "ServiceAccount")["metadata"]["name"]);
        assert_eq!(container["envFrom"][0]["configMapRef"]["name"], only(manifests, "ConfigMap")["metadata"]["name"]);
        let data = &only(manifests, "ConfigMap")["data"];
        assert_eq!(container["ports"][0]["containerPort"].to_string(), data["HTTP_PORT"].as_str().expect("a port"));
        let target = &only(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"];
        assert_eq!(target["name"], only(manifests, "Deployment")["metadata"]["name"]);
    });
}

/// Names of the secrets that an environment's `secrets` stack declares without a value, for people to write it.
fn written_by_people(environment: &Environment) -> Vec<String> {
    let system = system(environment);
    let stack = system.stacks.iter().find(|one| one.id.name == "secrets").expect("the stack");
    let template = stack.template.to_json();
    let secrets = template["Resources"].as_object().expect("resources").values();
    let properties = secrets.filter(|one| one["Type"] == "AWS::SecretsManager::Secret").map(|one| &one["Properties"]);
    let without_value = properties.filter(|one| one.get("GenerateSecretString").is_none());
    without_value.map(|one| one["Name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_secret_that_people_write_is_mounted_where_the_consumer_looks() {
    for_each(|environment, _, manifests| {
        let spec = &pod(manifests)["spec"];
        let mut folders = Vec::new();
        let secrets = written_by_people(environment);
        assert_eq!(secrets.len(), 2, "of Kafka and of the Schema Registry: {secrets:?}");
        for secret in &secrets {
            let reads = |one: &&Manifest| {
                one.kind == "SecretProviderClass"
                    && one.value["spec"]["parameters"]["objects"]
                        .as_str()
                        .is_some_and(|objects| objects.contains(&format!("objectName: {secret}\n")))
            };
            let class = manifests.iter().find(reads).unwrap_or_else(|| panic!("nobody reads {secret}"));
            let objects = class.value["spec"]["parameters"]["objects"].as_str().expect("a text");
            for file in ["username", "password"] {
                assert!(objects.contains(&format!("objectAlias: {file}\n")), "{secret}: {objects}");
            }
            let volumes = spec["volumes"].as_array().expect("volumes");
            let volume = volumes
                .iter()
                .find(|one| one["csi"]["volumeAttributes"]["secretProviderClass"] == class.name)
                .unwrap_or_else(|| panic!("no volume of {}", class.name));
            let mounts = spec["containers"][0]["volumeMounts"].as_array().expect("mounts");
            let mount = mounts
                .iter()
                .find(|one| one["name"] == volume["name"])
                .unwrap_or_else(|| panic!("{} isn't mounted", class.name));
            assert_eq!(mount["readOnly"], true);
            folders.push(mount["mountPath"].clone());
        }
        let data = &only(manifests, "ConfigMap")["data"];
        assert_eq!(folders, [data["KAFKA_CREDENTIALS_DIR"].clone(), data["SCHEMA_REGISTRY_CREDENTIALS_DIR"].clone()]);
        assert_ne!(folders[0], folders[1], "the files have the same names");
    });
}

#[test]
fn a_registry_that_asks_for_no_password_needs_none() {
    let (name, text) = ON_AWS[0];
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("schema_registry_secret"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(text, without);
    let environment = environment(name, &without);
    let manifests = manifests(&environment, environment.primary());
    assert_eq!(only(&manifests, "SecretProviderClass")["metadata"]["name"], "kafka-credentials");
    assert_eq!(only(&manifests, "ConfigMap")["data"]["SCHEMA_REGISTRY_CREDENTIALS_DIR"], "none");
    assert_eq!(pod(&manifests)["spec"]["volumes"].as_array().map(Vec::len), Some(1));
}

/// The pods' identity is made in one stack, its role in another; both must mean the pods of these manifests.
#[test]
fn the_pods_have_the_consumers_role() {
    for (name, text) in ON_AWS {
        let environment = environment(name, text);
        let system = system(&environment);
        let template = |stack: &str, region: &Region| {
            let found = system.stacks.iter().find(|one| one.id.name == stack && one.id.region == *region);
            found.expect("the stack").template.to_json()
        };
        for region in environment.regions() {
            let manifests = manifests(&environment, region);
            let cluster = template("cluster", region);
            let identity = &cluster["Resources"]["ConsumerIdentity"]["Properties"];
            let account = &only(&manifests, "ServiceAccount")["metadata"];
            assert_eq!(
                (&identity["Namespace"], &identity["ServiceAccount"]),
                (&account["namespace"], &account["name"])
            );
            let role = template("events", region)["Resources"]["ConsumerRole"]["Properties"]["RoleName"].clone();
            let arn = identity["RoleArn"]["Fn::Sub"].as_str().expect("a substitution").to_owned();
            assert_eq!(arn.rsplit_once('/').map(|(_, name)| name), role.as_str());

            let repository = &cluster["Resources"]["ConsumerImages"]["Properties"]["RepositoryName"];
            let image = pod(&manifests)["spec"]["containers"][0]["image"].as_str().expect("an image");
            let host = format!("{}.dkr.ecr.{region}.amazonaws.com/", environment.account());
            assert_eq!(image.strip_prefix(&host).and_then(|rest| rest.split(':').next()), repository.as_str());
        }
    }
}

#[test]
fn a_pod_has_time_to_drain() {
    for_each(|environment, _, manifests| {
        let grace = pod(manifests)["spec"]["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        assert!(grace >= environment.consumer().drain_deadline.as_secs() + 5, "{grace}");
    });
}

#[test]
fn the_autoscaler_asks_for_metrics_that_exist() {
    for_each(|environment, _, manifests| {
        let spec = &only(manifests, "HorizontalPodAutoscaler")["spec"];
        assert_eq!(spec["minReplicas"], environment.consumer().min_replicas);
        assert_eq!(spec["maxReplicas"], environment.consumer().max_replicas);
        let metrics = spec["metrics"].as_array().expect("metrics");
        let external: Vec<&Json> = metrics.iter().filter(|metric| metric["type"] == "External").collect();
        assert_eq!(external.len(), 1);
        let name = external[0]["external"]["metric"]["name"].as_str().expect("a name");
        let rules = infra::dashboards::files(environment);
        let (_, rules) = rules.iter().find(|(file, _)| file == "prometheus/prometheus-rule.json").expect("the rules");
        let rules: Json = serde_json::from_str(rules).expect("JSON");
        let groups = rules["spec"]["groups"].as_array().expect("groups");
        let mut rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
        let recorded = rules.find(|rule| rule["record"] == name).unwrap_or_else(|| panic!("nobody records {name}"));
        // More pods than partitions are behind help nobody.
        let per_pod = external[0]["external"]["target"]["averageValue"].as_str().expect("a number");
        let query = recorded["expr"].as_str().expect("a query");
        assert!(query.starts_with("clamp_max(") && query.ends_with(&format!(", {per_pod})")), "{query}");
    });
}

/// What is applied is what the folder's `kustomization.yaml` makes of it: labels of the place, and the image by its digest.
#[test]
fn what_is_applied_says_where_it_is_and_which_image() {
    let digest = "sha256:0a1b";
    for_each(|environment, region, manifests| {
        let mut placed_all = 0;
        for folder in Folder::ALL {
            for manifest in placed(environment, region, folder, Some(digest)) {
                placed_all += 1;
                let mut labels = vec![&manifest.value["metadata"]["labels"]];
                labels.extend(manifest.value.pointer("/spec/template/metadata/labels"));
                for labels in labels {
                    assert_eq!(labels["tandem/environment"], environment.environment_name(), "{}", manifest.file);
                    assert_eq!(labels["tandem/region"], region.as_str(), "{}", manifest.file);
                }
                if manifest.kind == "Deployment" {
                    let expected = format!("{}@{digest}", image_repository(environment, region));
                    assert_eq!(manifest.value["spec"]["template"]["spec"]["containers"][0]["image"], expected);
                    // Selectors can't be changed later.
                    assert!(manifest.value["spec"]["selector"]["matchLabels"].get("tandem/region").is_none());
                }
            }
        }
        assert_eq!(placed_all, manifests.len());
        let by_tag = placed(environment, region, Folder::Consumer, None);
        let image = &pod(&by_tag)["spec"]["containers"][0]["image"];
        assert_eq!(image, &pod(manifests)["spec"]["containers"][0]["image"]);
    });
}

/// Two regions in one consumer group would write the same keys within the replication lag.
#[test]
fn one_region_consumes() {
    for_each(|environment, region, manifests| {
        let applied = only(manifests, "Deployment");
        assert_eq!(applied["spec"].get("replicas"), None, "a deployment after a failover takes nothing back: {region}");
        let once: Vec<&Manifest> =
            manifests.iter().filter(|manifest| manifest.delivery == Delivery::CreatedOnce).collect();
        if environment.is_primary(region) {
            assert_eq!(once, Vec::<&Manifest>::new(), "at home the autoscaler alone decides");
            return;
        }
        let [standby] = once[..] else { panic!("one object that is created once: {once:?}") };
        assert_eq!(standby.folder, Folder::Bootstrap);
        let mut expected = applied.clone();
        expected["spec"]["replicas"] = json!(0);
        assert_eq!(standby.value, expected);
        let files = files(environment, region);
        let content = |path: &str| files.iter().find(|(file, _)| file == path).map(|(_, content)| content.as_str());
        assert!(content(&format!("bootstrap/{}", standby.file)).is_some_and(|text| text.contains("replicas: 0")));
        let bootstrap = content("bootstrap/kustomization.yaml").expect("a file");
        assert!(!bootstrap.contains(&standby.file), "applied again it would end what a failover began");
    });
}

#[test]
fn other_settings_have_another_name() {
    let (name, text) = ON_AWS[0];
    let settings = |environment: &Environment| {
        only(&manifests(environment, environment.primary()), "ConfigMap")["metadata"]["name"].clone()
    };
    let one = environment(name, text);
    let changed = text.replace("fetch_wait = \"50ms\"", "fetch_wait = \"60ms\"");
    assert_ne!(text, changed);
    let other = environment(name, &changed);
    assert_eq!(settings(&one), settings(&one));
    assert_ne!(settings(&one), settings(&other));
}

#[test]
fn nothing_is_let_through_but_what_is_named() {
    for_each(|_, _, manifests| {
        let policies: Vec<&Manifest> = manifests.iter().filter(|one| one.kind == "NetworkPolicy").collect();
        let deny = policies.iter().find(|one| one.name == "default-deny").expect("the default");
        assert_eq!(deny.value["spec"], json!({"podSelector": {}, "policyTypes": ["Egress", "Ingress"]}));
        for policy in policies.iter().filter(|one| one.name != "default-deny") {
            for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
                for rule in policy.value["spec"][direction].as_array().expect("rules") {
                    assert!(
                        rule[peers].as_array().is_some_and(|peers| !peers.is_empty()),
                        "{} {direction}",
                        policy.name
                    );
                    assert!(
                        rule["ports"].as_array().is_some_and(|ports| !ports.is_empty()),
                        "{} {direction}",
                        policy.name
                    );
                }
            }
        }
    });
}

/// What the deploy role can't apply would stop a deployment half way.
#[test]
fn deployers_may_apply_their_folder() {
    // Of what AmazonEKSEditPolicy lets change (EKS user guide, "Review access policy permissions").
    let by_amazon = [
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ServiceAccount",
    ];
    for_each(|_, _, manifests| {
        let role = manifests.iter().find(|one| one.kind == "Role" && one.name == "deployers").expect("the role");
        let rules = role.value["rules"].as_array().expect("rules");
        let own = manifests.iter().filter(|one| one.folder == Folder::Consumer);
        for manifest in own.filter(|one| !by_amazon.contains(&one.kind.as_str())) {
            let group =
                manifest.value["apiVersion"].as_str().and_then(|version| version.split_once('/')).expect("a group").0;
            // A resource is the kind in lower case and plural.
            let resource = manifest.kind.to_lowercase();
            let covers = |rule: &Json| {
                let names = |key: &str| rule[key].as_array().expect("texts").clone();
                names("apiGroups").contains(&json!(group))
                    && names("resources").iter().any(|one| {
                        [format!("{resource}s"), format!("{resource}es")]
                            .contains(&one.as_str().expect("a text").to_owned())
                    })
                    && ["create", "get", "patch"].iter().all(|verb| names("verbs").contains(&json!(verb)))
            };
            assert!(rules.iter().any(covers), "{}", manifest.kind);
        }
    });
}
