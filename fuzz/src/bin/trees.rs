//! Trees made of bytes, and rows on their thresholds and one step beside: every engine must give the bits that the
//! literal walk gives.
#![no_main]

use std::fmt::Write;

use libfuzzer_sys::fuzz_target;
use modelberth::{ModelExt, TreeEngine};
use modelberth_fuzz::{Bytes, loader};

const FEATURES: usize = 3;
const THRESHOLDS: [f64; 8] = [0.5, 0.1, -2.0, 1e-35, 16777217.0, 1e300, -0.5, 7.0];

/// Trees as LightGBM writes them.
fn text(bytes: &mut Bytes<'_>) -> String {
    let trees = 1 + bytes.below(20);
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={}\nobjective=regression\n\
         feature_names=a b c\nfeature_infos=[-9:9] [-9:9] [-9:9]\n\n",
        FEATURES - 1
    );
    for tree in 0..trees {
        let branches = 1 + [bytes.below(8), bytes.below(40), bytes.below(256)][bytes.below(3)];
        let (mut features, mut thresholds, mut decisions) = (vec![], vec![], vec![]);
        let (mut bounds, mut words) = (vec![0usize], Vec::<u32>::new());
        // A new branch takes the place of a leaf, which becomes its left child.
        let mut children: Vec<[i64; 2]> = vec![];
        for branch in 0..branches {
            if branch > 0 {
                let parent = bytes.below(256) % branch;
                let side = bytes.below(2);
                let (parent, side) = (parent..branch)
                    .chain(0..parent)
                    .flat_map(|p| [(p, side), (p, 1 - side)])
                    .find(|&(p, s)| children[p][s] < 0)
                    .expect("a tree of branches has leaves");
                let leaf = std::mem::replace(&mut children[parent][side], branch as i64);
                children.push([leaf, -(branch as i64) - 2]);
            } else {
                children.push([-1, -2]);
            }
            features.push(bytes.below(FEATURES));
            let decision = bytes.byte() & 0b1111;
            // Three in four compare.
            if bytes.below(4) > 0 {
                decisions.push(if decision & 0b1100 == 0b1100 { decision & 0b1010 } else { decision & 0b1110 });
                thresholds.push(format!("{:?}", THRESHOLDS[bytes.below(8)] + f64::from(bytes.byte() >> 6)));
            } else {
                decisions.push(if decision & 0b1100 == 0b1100 { 0b1001 } else { decision & 0b1100 | 1 });
                thresholds.push((bounds.len() - 1).to_string());
                words.extend((0..1 + bytes.below(2)).map(|_| u32::from(bytes.byte()) << (bytes.byte() % 25)));
                bounds.push(words.len());
            }
        }
        fn line<T: ToString>(text: &mut String, name: &str, values: &[T]) {
            let values: Vec<String> = values.iter().map(T::to_string).collect();
            writeln!(text, "{name}={}", values.join(" ")).expect("texts grow");
        }
        let leaves: Vec<f64> = (0..=branches).map(|i| f64::from(i as u32 + tree as u32) / 3.0).collect();
        writeln!(text, "Tree={tree}\nnum_leaves={}\nnum_cat={}", branches + 1, bounds.len() - 1).expect("texts grow");
        line(&mut text, "split_feature", &features);
        line(&mut text, "threshold", &thresholds);
        line(&mut text, "decision_type", &decisions);
        line(&mut text, "left_child", &children.iter().map(|c| c[0]).collect::<Vec<_>>());
        line(&mut text, "right_child", &children.iter().map(|c| c[1]).collect::<Vec<_>>());
        line(&mut text, "leaf_value", &leaves);
        if !words.is_empty() {
            line(&mut text, "cat_boundaries", &bounds);
            line(&mut text, "cat_threshold", &words);
        }
        text.push_str("is_linear=0\nshrinkage=1\n\n\n");
    }
    text + "end of trees\n"
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes::new(bytes);
    let text = text(&mut bytes);
    let m = [1, 11, 64, 200, 300][bytes.below(5)];
    let x: Vec<f64> = (0..m * FEATURES)
        .map(|_| {
            let near = THRESHOLDS[bytes.below(8)] + f64::from(bytes.byte() >> 6);
            match bytes.below(8) {
                0 => near.next_up(),
                1 => near.next_down(),
                2 => f64::from(near as f32),
                3 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0][bytes.below(4)],
                4 => f64::from(bytes.byte()) / 4.0 - 2.0,
                _ => near,
            }
        })
        .collect();
    let answers = |engine: TreeEngine| -> [Vec<u64>; 2] {
        let model = loader().tree_engine(engine).outputs(["raw"]).load_bytes("trees.txt", text.as_bytes().to_vec());
        let model = model.unwrap_or_else(|e| panic!("{engine}: {e}\n{text}"));
        let bits = |answers: modelberth::Result<modelberth::Tensors<'_>>| {
            let answers = answers.unwrap_or_else(|e| panic!("{engine}: {e}"));
            answers.get::<f64>("raw").expect("sums are f64").iter().map(|x| x.to_bits()).collect()
        };
        let rows = |x: &[f64]| modelberth::ndarray::Array2::from_shape_vec((m, FEATURES), x.to_vec()).expect("(m, n)");
        let wide = rows(&x);
        [bits(model.predict_array(wide.mapv(|x| x as f32))), bits(model.predict_array(wide))]
    };
    let expected = answers(TreeEngine::Scalar);
    for engine in TreeEngine::ALL {
        assert_eq!(answers(engine), expected, "{engine}\n{text}");
    }
});
