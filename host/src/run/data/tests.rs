//! Files as they are found, and as they are broken.

use std::fs;

use tempfile::TempDir;

use super::*;

struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, content).expect("written");
        path
    }

    fn open(&self, name: &str, options: &DataOptions) -> Result<DataSet, DataError> {
        let labels = ["cat, tabby", "dog", "traffic light"].map(String::from);
        DataSet::open(&self.0.path().join(name), options, &labels, 3)
    }

    /// A file beside the pictures a.png and b.png.
    fn listed(&self, name: &str, content: &str) -> Result<DataSet, DataError> {
        self.put("a.png", "");
        self.put("b.png", "");
        self.put(name, content);
        self.open(name, &DataOptions::default())
    }
}

fn boxed(label: usize, area: [f32; 4]) -> ItemBox {
    let polygons = Vec::new();
    ItemBox {
        label,
        area,
        polygons,
    }
}

#[test]
fn folders_name_classes() {
    let room = Room::new();
    for name in [
        "Traffic_Light/1.png",
        "train/tabby/2.JPG",
        "1/3.bmp",
        "x/4.png",
        "5.png",
        "1/no.txt",
    ] {
        room.put(&format!("all/{name}"), "");
    }
    let data = room.open("all", &DataOptions::default()).unwrap();
    let found: Vec<_> = data
        .items
        .iter()
        .map(|i| (&i.name[..], i.truth.clone()))
        .collect();
    let expected = [
        ("1/3.bmp", Some(vec![1])),
        ("5.png", None),
        ("Traffic_Light/1.png", Some(vec![2])),
        ("train/tabby/2.JPG", Some(vec![0])),
        ("x/4.png", None),
    ];
    assert_eq!(found, expected);
    assert_eq!(data.source, "folders");
    assert!(data.items[3].path.is_file());
}

#[test]
fn tables_have_labels_and_boxes() {
    let room = Room::new();
    let text = "h,file,label,x,y,w\n20,a.png,dog,1,2,10\n,b.png,cat;1,,,\n5,a.png,\"Cat, Tabby\",3,3,4.5\n,b.png,,,,\n";
    let data = room.listed("list.csv", text).unwrap();
    assert_eq!(data.items.len(), 2);
    assert_eq!(data.items[0].truth, Some(vec![0, 1]));
    let boxes = [
        boxed(1, [1.0, 2.0, 10.0, 20.0]),
        boxed(0, [3.0, 3.0, 4.5, 5.0]),
    ];
    assert_eq!(data.items[0].boxes, boxes);
    assert_eq!(data.items[1].truth, Some(vec![0, 1]));
    assert!(data.items[1].boxes.is_empty());

    let corners = "picture,what,xmin,ymin,xmax,ymax\na.png,2,1,2,11,22\nb.png,0 1,0,0,5,5\n";
    let data = room.listed("list.csv", corners).unwrap();
    assert_eq!(data.items[0].boxes, [boxed(2, [1.0, 2.0, 10.0, 20.0])]);
    assert_eq!(data.items[1].truth, Some(vec![0, 1]));
    let one_more = DataOptions {
        first_class: 1,
        column: Some(String::from("what")),
        ..DataOptions::default()
    };
    let refused = room.open("list.csv", &one_more).unwrap_err().to_string();
    assert!(
        refused.contains("line 2: `2` is no class: neither a label nor a number up to 1"),
        "{refused}"
    );
}

#[test]
fn own_schema() {
    let room = Room::new();
    let text = r#"{"pictures": [
        {"file": "a.png", "labels": ["dog", 0],
         "boxes": [{"label": "traffic light", "area": [1, 2, 3, 4.5], "polygons": [[[1, 2], [4, 2], [1, 6]]]}]},
        {"file": "b.png", "labels": []}, {"file": "c.png"}]}"#;
    let data = room.listed("list.json", text).unwrap();
    let truth: Vec<_> = data.items.iter().map(|i| i.truth.clone()).collect();
    assert_eq!(truth, [Some(vec![0, 1, 2]), Some(vec![]), None]);
    let polygons = vec![vec![[1.0, 2.0], [4.0, 2.0], [1.0, 6.0]]];
    let area = [1.0, 2.0, 3.0, 4.5];
    let expected = ItemBox {
        label: 2,
        area,
        polygons,
    };
    assert_eq!(data.items[0].boxes, [expected]);
    let bare = room
        .listed("bare.json", r#"[{"file": "a.png", "labels": [2]}]"#)
        .unwrap();
    assert_eq!(bare.items[0].truth, Some(vec![2]));
}

const COCO: &str = r#"{"info": {"year": 2017},
    "images": [{"id": 7, "file_name": "a.png", "height": 9}, {"id": 8, "file_name": "b.png"}],
    "annotations": [
        {"image_id": 7, "category_id": 18, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 4, 2, 4, 6], [1, 2, 2, 2, 2, 3]], "iscrowd": 0},
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], "segmentation": []},
        {"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1]},
        {"image_id": 7, "category_id": 18, "bbox": [5, 5, 2, 2], "segmentation": {"counts": [3, 4], "size": [2, 2]}, "iscrowd": 1},
        {"image_id": 7, "category_id": 18, "bbox": [5, 5, 0, 2]}],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]}"#;

#[test]
fn coco_names_categories() {
    let room = Room::new();
    let data = room.listed("coco.json", COCO).unwrap();
    let [a, b] = &data.items[..] else { panic!() };
    assert_eq!((&a.truth, &b.truth), (&Some(vec![1]), &None));
    assert_eq!(a.boxes.len(), 2);
    assert_eq!(
        a.boxes[0].polygons,
        [
            vec![[1.0, 2.0], [4.0, 2.0], [4.0, 6.0]],
            vec![[1.0, 2.0], [2.0, 2.0], [2.0, 3.0]],
        ]
    );
    assert_eq!(a.boxes[1], boxed(1, [5.0, 5.0, 2.0, 2.0]));
    assert_eq!(
        data.notes,
        [
            "2 objects are left out, of classes that the network does not have: person 2",
            "1 boxes without area are left out",
        ]
    );
    let strange = COCO.replace("\"dog\"", "\"horse\"");
    let refused = room.listed("coco.json", &strange).unwrap_err().to_string();
    assert!(
        refused.contains("none of its 2 classes is one of the network; `horse` is no class"),
        "{refused}"
    );
}

const VOC: &str = "<annotation><folder>x</folder><filename>a.png</filename>
    <size><width>9</width><height>9</height><depth>3</depth></size>
    <object><name>dog</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>4</xmax><ymax>8</ymax></bndbox>
      <part><name>head</name><bndbox><xmin>2</xmin></bndbox></part></object>
    <object><name>person</name></object></annotation>";

#[test]
fn voc_counts_pixels_from_one() {
    let room = Room::new();
    room.put("voc/JPEGImages/a.png", "");
    room.put("voc/Annotations/1.xml", VOC);
    room.put(
        "voc/Annotations/2.xml",
        &VOC.replace("a.png", "b.png").replace("dog", "2"),
    );
    let data = room.open("voc", &DataOptions::default()).unwrap();
    assert_eq!(data.items[0].boxes, [boxed(1, [1.0, 2.0, 3.0, 6.0])]);
    assert_eq!(
        data.items[0].path,
        room.0.path().join("voc/JPEGImages/a.png")
    );
    assert_eq!(data.items[1].truth, Some(vec![2]));
    assert!(data.notes[0].contains("person 2"));
}

#[test]
fn boxes_join_pictures_by_name() {
    let room = Room::new();
    room.put("all/dog/a.png", "");
    room.put("all/new/c.png", "");
    let boxes = r#"[{"file": "a.png", "boxes": [{"label": "cat", "area": [0, 0, 2, 2]}]},
        {"file": "c.png", "labels": [2]}, {"file": "z.png", "labels": [2]}]"#;
    let options = DataOptions {
        boxes_file: Some(room.put("boxes.json", boxes)),
        ..DataOptions::default()
    };
    let data = room.open("all", &options).unwrap();
    assert_eq!(data.items[0].truth, Some(vec![1]), "the folder has said it");
    assert_eq!(data.items[0].boxes, [boxed(0, [0.0, 0.0, 2.0, 2.0])]);
    assert_eq!(data.items[1].truth, Some(vec![2]));
    assert_eq!(data.items.len(), 2);
    assert!(data.has_boxes());
}

/// A label, a name or a box that moves changes the hash; the folder does not.
#[test]
fn the_hash_tells_lists_apart() {
    let hash = |text: &str| Room::new().listed("list.json", text).unwrap().hash;
    let texts = [
        r#"[{"file": "a.png", "labels": [1]}]"#,
        r#"[{"file": "a.png", "labels": [2]}]"#,
        r#"[{"file": "a.png", "labels": []}]"#,
        r#"[{"file": "a.png"}]"#,
        r#"[{"file": "a.png", "labels": [1]}, {"file": "b.png"}]"#,
        r#"[{"file": "a.png", "boxes": [{"label": 1, "area": [0, 0, 2, 2]}]}]"#,
        r#"[{"file": "a.png", "boxes": [{"label": 1, "area": [0, 0, 2, 3]}]}]"#,
    ];
    let all: std::collections::BTreeSet<String> = texts.iter().map(|text| hash(text)).collect();
    assert_eq!(all.len(), texts.len());
    assert_eq!(hash(texts[0]), hash(texts[0]));
    assert_eq!(hash(texts[0]).len(), 64);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let bomb =
        "<!DOCTYPE l [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><annotation>&b;</annotation>";
    let deep = format!("<annotation>{}", "<a>".repeat(200_000));
    let cases: &[(&str, &str, &str)] = &[
        ("l.csv", "", "is empty"),
        ("l.csv", "file,label\n", "no rows"),
        (
            "l.csv",
            "file,label\na.png,unicorn\n",
            "no column in which every cell is one of the 3 classes",
        ),
        ("l.csv", "file,label\na.png,dgo\n", "did you mean `dog`?"),
        ("l.csv", "file,label\na.png,1\nb.png\n", "line 3"),
        (
            "l.csv",
            "file,label,x,y,w,h\na.png,1,0,0,zwei,2\n",
            "line 2: `zwei` is no number of a box",
        ),
        (
            "l.csv",
            "file,label,x,y,w,h\na.png,1,0,0,-1,2\n",
            "line 2: 0, 0, -1, 2 is no box",
        ),
        (
            "l.csv",
            "file,label,x,y,w,h\na.png,1,0,0,NaN,2\n",
            "line 2: 0, 0, NaN, 2 is no box",
        ),
        ("l.csv", "file,label\n,1\n", "line 2: it names no file"),
        ("l.csv", "file,label\nz.png,1\n", "z.png is not there"),
        ("l.json", "{\"pictures\": [{\"file\": 3}]}", "line 1 column"),
        (
            "l.json",
            "{\"pictures\": [{\"file\": \"a.png\", \"lable\": []}]}",
            "unknown field `lable`",
        ),
        (
            "l.json",
            "[{\"file\": \"a.png\", \"labels\": [9]}]",
            "picture 1 (`a.png`): `9` is no class",
        ),
        (
            "l.json",
            "[{\"file\": \"a.png\", \"boxes\": [{\"label\": 1, \"area\": [0,0,2,2], \"polygons\": [[[1,1]]]}]}]",
            "three corners",
        ),
        ("l.json", "[]", "names no picture"),
        ("l.json", "{}", "neither `pictures` nor"),
        ("l.json", &"[".repeat(100_000), "l.json: "),
        (
            "l.json",
            &COCO.replace("\"image_id\": 8", "\"image_id\": 9"),
            "annotation 3: there is no image 9",
        ),
        (
            "l.json",
            &COCO.replace("\"category_id\": 1,", "\"category_id\": 2,"),
            "there is no category 2",
        ),
        (
            "l.json",
            &COCO.replace("4, 2, 4, 6]", "4, 2, 4]"),
            "annotation 1: an outline of 5 numbers",
        ),
        ("l.xml", "<annotation/>", "no <filename>"),
        ("l.xml", "<annotation>", "l.xml: "),
        (
            "l.xml",
            &VOC.replace("<xmax>4</xmax>", ""),
            "line 3, object 1: <bndbox> has no <xmax>",
        ),
        (
            "l.xml",
            &VOC.replace("<xmax>4", "<xmax>four"),
            "`four` is no number",
        ),
        ("l.xml", bomb, "DTD"),
        ("l.xml", &deep, "l.xml: "),
    ];
    for (name, content, expected) in cases {
        let said = Room::new()
            .listed(name, content)
            .expect_err(expected)
            .to_string();
        let head: String = content.chars().take(80).collect();
        assert!(said.contains(expected), "{head}: {said}");
    }
    let room = Room::new();
    room.put("bytes.csv", "");
    fs::write(room.0.path().join("bytes.csv"), b"file\xff,label\n").unwrap();
    let said = room
        .open("bytes.csv", &DataOptions::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("byte 5 is wrong"), "{said}");
    let said = room
        .open("nowhere", &DataOptions::default())
        .unwrap_err()
        .to_string();
    assert!(said.contains("cannot read"), "{said}");
}
