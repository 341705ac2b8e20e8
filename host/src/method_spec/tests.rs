use foveola_core::explain::METHODS;
use serde_json::json;

use super::*;

fn parse(text: &str) -> MethodSpec {
    text.parse().unwrap()
}

fn fails(text: &str) -> String {
    text.parse::<MethodSpec>().unwrap_err().to_string()
}

#[test]
fn every_method_of_the_table_has_a_title_and_parses() {
    for row in METHODS {
        assert_ne!(title(row.name), "Method", "{}", row.name);
        assert_eq!(parse(row.name).row, row);
    }
}

#[test]
fn windows_are_one_two_or_three_numbers() {
    for (text, window) in [("8", [0, 8, 8]), ("8/4", [0, 8, 4]), ("1/8/4", [1, 8, 4])] {
        match parse(&format!("occlusion:window={text},stride=2")).parameters {
            Parameters::Occlusion {
                window: Some(found),
                stride: Some([0, 2, 2]),
                ..
            } => assert_eq!(found, window),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lists_baselines_and_modes() {
    let spec = parse("hoc:mode=cover,windows=60/30,strides=12/6,baseline=127.5");
    let Parameters::Hoc {
        cover,
        windows,
        strides,
        baseline,
        ..
    } = &spec.parameters
    else {
        panic!("{spec:?}")
    };
    assert!(*cover);
    assert_eq!(
        (windows.as_slice(), strides.as_slice()),
        (&[60, 30][..], &[12, 6][..])
    );
    assert_eq!(*baseline, Baseline::Number(127.5));
}

#[test]
fn layer_names_may_hold_commas_colons_and_slashes() {
    let spec = parse("grad-cam:layer=/a:0/b,c,relu=false");
    assert_eq!(spec.layer(), Some("/a:0/b,c"));
    assert_eq!(spec.to_json()["relu"], json!(false));
    assert_eq!(parse("rise:keep=0.1").to_json()["keep"], json!(0.1));
}

#[test]
fn what_is_written_reads_back() {
    for text in [
        "gradient",
        "grad-cam:layer=/r3/act/Relu_output_0,relu=true",
        "grad-cam:counterfactual=true,relu=false",
        "smooth-grad:file=noise.npy,noise=0.2,samples=7",
        "integrated-gradients:baseline=black/mean/127.5,quadrature=gauss-legendre,steps=20,tolerance=0.01",
        "grad-cam-plus-plus:epsilon=0.000001,layer=a,b,relu=false",
        "eigen-cam:centred=true,sign=weights",
        "guided-grad-cam:upsample=nearest",
        "score-cam:baseline=mean,constant=hidden,grid=corners,relu=true",
        "recipro-cam:layer=x",
        "occlusion:baseline=blur,stride=2/3,window=1/4/5",
        "rise:baseline=mean,compat=mindspore,keep=0.25,masks=100",
        "rise:estimator=centred,masks=100,tolerance=0.1",
        "rise:estimator=adjusted,grid=12,tolerance=0.1",
        "hoc:baseline=0,mode=cover,threshold=0.75,windows=9/4",
        "feature-ablation:baseline=blur,count=12,segments=grid",
        "lime:alpha=0.5,baseline=segment,design=z.npy,kernel=0.25,samples=90,segments=a,b.npy",
        "kernel-shap:samples=64,segments=quickshift",
        "anchors:batch=50,beam=2,passes=900,tau=0.1,threshold=0.9",
        "sobol:designs=8",
        "sobol:design=d.npy",
        "hsic:design=d.npy,samples=9",
        "aise:baseline=mean,samples=9,widths=0.1/0.3",
        "activation-maximisation:blur=0,jitter=0,rate=0.1,start=picture,steps=7",
        "rise:grid=15,sequence=sobol",
        "hoc:beam=4,minimal=true",
        "meaningful-perturbation:against=tabby, tabby cat,steps=3",
        "meaningful-perturbation:grid=7,steps=30",
        "hsic:baseline=3,samples=64",
        "occlusion:baseline=a/b,c.png",
        "integrated-gradients:baseline=black//tmp/black/x.npy/mean/y.JPG/3",
        "rise:masks=9,max-passes=4",
        "gradient:deadline=0",
        "anchors:deadline=2.5,max-passes=7,passes=900",
    ] {
        let spec = parse(text);
        assert_eq!(parse(&spec.to_string()), spec, "{spec}");
    }
}

#[test]
fn baselines_are_files_by_their_ends() {
    let spec = parse("integrated-gradients:baseline=black//tmp/black/x.npy/mean/y.JPG/3");
    let Parameters::Path { baselines, .. } = &spec.parameters else {
        panic!("{spec:?}")
    };
    let file = |name| Baseline::File(FileName::of_picture(name).unwrap());
    assert_eq!(
        baselines[..],
        [
            Baseline::Black,
            file("/tmp/black/x.npy"),
            Baseline::Mean,
            file("y.JPG"),
            Baseline::Number(3.0)
        ]
    );
}

#[test]
fn mistakes_name_the_nearest() {
    let cases = [
        ("gradcam", "did you mean `grad-cam`"),
        ("occlusion:windw=3", "did you mean `window`?"),
        ("gradient:layer=x", "it has none"),
        ("gradient:max-passes=0", "from 1"),
        ("rise:deadline=-1", "seconds, from 0"),
        ("rise:deadline=nan", "seconds, from 0"),
        ("occlusion:window=0", "whole numbers from 1"),
        ("occlusion:window=-3", "whole numbers from 1"),
        ("occlusion:window", "has no value"),
        ("rise:masks=-5", "from 1"),
        ("rise:grid=16,sequence=sobol", "at most 15"),
        ("hoc:beam=0", "from 1"),
        ("aise:widths=0.1/0", "above 0"),
        ("aise:epsilon=-1", "from 0"),
        ("activation-maximisation:rate=0", "above 0"),
        ("activation-maximisation:decay=2", "from 0 to 1"),
        ("hoc:minimal=yes", "false or true"),
        ("rise:masks=0", "from 1"),
        ("rise:keep=0", "above 0"),
        ("rise:tolerance=0.1", "estimator=centred"),
        ("rise:estimator=adjusted,grid=13", "at most 12"),
        ("rise:estimator=adjusted,file=m.npy", "not from a file"),
        ("rise:estimator=centred,tolerance=1", "below 1"),
        ("smooth-grad:noise=-1", "from 0"),
        ("integrated-gradients:steps=0", "from 1"),
        ("integrated-gradients:tolerance=0", "above 0"),
        ("integrated-gradients:baseline=black/grey", "blur, black"),
        ("integrated-gradients:quadrature=midle", "it takes middle"),
        ("eigen-cam:sign=up", "activation or weights"),
        ("cam:relu=true", "there are `layer`"),
        ("rise:keep=nan", "above 0"),
        ("hoc:threshold=2", "from 0 to 1"),
        ("hoc:mode=hide", "reveal or cover"),
        ("occlusion:baseline=inf", "blur, black, mean or a number"),
        ("occlusion:window=1/2/3/4", "C/H/W"),
        ("lime:samples=0", "from 1"),
        ("lime:kernel=0", "above 0"),
        ("lime:alpha=inf", "from 0"),
        ("lime:count=5,segments=quickshift", "only grid and slic"),
        ("anchors:threshold=1", "above 0, below 1"),
        ("kernel-shap:baseline=red", "blur, black, mean or a number"),
    ];
    for (text, part) in cases {
        let message = fails(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}
